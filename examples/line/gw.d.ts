// The types of what a script finds and gives. docs/modules.md explains them.

/** Headers, URLs and bodies of a request that the gateway makes. */
interface Request {
  method?: string;
  url: string; // {name} stands for a secret in the path
  headers?: Record<string, string>;
  form?: { name: string; value?: string; file?: string; as?: string; mime?: string }[];
  save?: boolean;
  repeatable?: boolean; // doing it twice is the same as once
  timeout_ms?: number;
}

interface Response {
  status: number;
  headers: Record<string, string>; // names in small letters
  file?: string; // the handle of a saved body
}

interface Address { channel?: string; account?: string; conversation: string; thread?: string }
interface Sender { id: string; name?: string; handle?: string; bot?: boolean }
interface FileOf { kind: string; name?: string; mime?: string; size?: number; ref?: string; handle?: string }

/** Something that happened on the platform. */
interface Event {
  key: string; // from the platform's own id: the same when the same thing comes again
  type: "message" | "edit" | "deletion" | "reaction" | "press" | "command" | "joined" | "left";
  at: string;
  account?: string;
  where: Address;
  room?: { direct?: boolean; title?: string };
  who: Sender;
  via?: { token: string; expires: string; uses?: number }; // a reply path that ends; put its token nowhere else
  addressed?: boolean; // in a room: the bot is meant. Always in a direct chat
  content: object;
}

/** One message to send. */
interface Part {
  key: string; // the same for each attempt
  to: Address;
  text: string; // in the dialect of the manifest
  alternative?: string; // the same in the manifest's second dialect, if it names one
  mentions?: string[]; // ids of those whom the text mentions
  via?: { token: string; expires: string; uses?: number }; // the reply path that came with the event
  plain?: boolean;
  replaces?: string; // changes this message instead of sending a new one
  reply_to?: string;
  files?: FileOf[];
  buttons?: { label: string; data?: string; url?: string }[];
  silent?: boolean;
}

/** What an operation is about. */
interface Call {
  channel: string;
  public?: string; // where the platform reaches the channel's webhooks
  config: Record<string, any>; // with defaults, without secrets
  session?: any; // what start returned
  poll?: { quick?: boolean; failures?: number; response?: Response };
  request?: { method: string; path: string; query: string; headers: Record<string, string> };
  part?: Part;
  since?: string; // reconcile: the part was not sent before that
  at?: Address;
  id?: string;
  emoji?: string;
  press?: { id: string; data: string; query?: string };
  file?: FileOf;
  commands?: { name: string; help: string; args?: string }[];
  code?: string;
  socket?: { failures?: number; response?: Response; messages?: number[]; code?: number; reason?: string };
  timer?: string; // its name
  args?: any; // execute: as the model wrote them
  readonly text: string; // the body of the request or response that it is about
  readonly json: any;
  readonly bytes: Uint8Array;
}

/** What it answers; body goes with a request, or to the platform. */
interface Answer {
  session?: any;
  as?: string; // start: the account, as people know it
  webhook?: boolean; // start: the platform's requests are wanted
  request?: Request; // poll: to be made by the gateway, which then calls again
  wait_ms?: number;
  status?: number;
  receipt?: { id: string; at?: string };
  cannot_tell?: boolean; // reconcile: nobody can know of this part
  file?: string;
  identity?: { account: string; name: string; handle?: string; link?: string };
  link?: string;
  socket?: { url?: string; headers?: Record<string, string>; url_at?: string; ready?: boolean }; // open
  text?: string; // execute: what the model is told
  body?: string | object;
}

type Operation = (call: Call) => Answer | void | Promise<Answer | void>;

/** What a script exports. Name in the manifest's abilities what is there beside start, poll, request and send. */
interface Bot {
  start?: Operation; request?: Operation; poll?: Operation; send?: Operation; edit?: Operation; react?: Operation;
  typing?: Operation; delete?: Operation; fetch?: Operation; reconcile?: Operation; probe?: Operation;
  commands?: Operation; answer?: Operation; startLink?: Operation; shutdown?: Operation;
  open?: Operation; messages?: Operation; closed?: Operation; timer?: Operation;
  execute?: Operation; // of a tool
}

type Code = "transient" | "rate_limited" | "ambiguous" | "rejected" | "format" | "closed" | "unauthorized" | "gone" | "other";

declare const gw: {
  /** Makes a request. A refusal is thrown as a Failure. */
  http(request: Request, body?: string | object | Uint8Array): Response & { text: string; json: any; bytes: Uint8Array };
  get(key: string): string | undefined;
  /** Keeps a value, if the call succeeds; undefined removes it. */
  put(key: string, value?: string): void;
  /** Hands in what happened, if the call succeeds. */
  emit(event: Event): void;
  log(...text: unknown[]): void;
  /** Sends a message over the connection that the gateway holds. */
  say(message: string | object, header?: { after?: "commit"; credential?: boolean }): void;
  hangUp(): void;
  /** Has timer called with the name, once or again and again; both 0 removes it. */
  timer(name: string, afterMS: number, everyMS?: number): void;
  random(bytes: number): Uint8Array;
  /** The next part of a file, at most 2 MiB; empty at its end. */
  read(handle: string, bytes?: number): Uint8Array;
  /** Makes a file, or adds to one that it made, and gives its handle. */
  make(bytes: Uint8Array | string, handle?: string): string;
  /** Where the platform can fetch a file that goes out, if the manifest has `links`; undefined: it cannot. */
  link(handle: string, more?: { name?: string; mime?: string }): { url: string; until: string } | undefined;
  /** Says what happens next. */
  Failure: new (code: Code, message: string, waitMS?: number) => Error;
};

//! Texts, times and names.
use serde_json::Value;

/// A JSON text; empty if it is none.
pub fn text(v: &Value) -> &str {
    v.as_str().unwrap_or_default()
}

/// What Mattermost writes as a text that holds JSON.
pub fn inner(v: &Value) -> Value {
    serde_json::from_str(text(v)).unwrap_or_default()
}

/// A moment in milliseconds since 1970, as RFC 3339.
pub fn time(ms: i64) -> String {
    let ms = ms.clamp(0, 253_402_300_799_999); // to the year 9999
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    // Years begin in March here, so that a leap day is the last of its year.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z", rest % 1000)
}

/// Mattermost's names of those emoji that bots use. It knows thousands; those that stand
/// here are translated, and what people put beyond them is handed in by its name.
const EMOJI: &[(&str, &str)] = &[
    ("👀", "eyes"), ("👍", "+1"), ("👎", "-1"), ("✅", "white_check_mark"), ("❌", "x"), ("❤", "heart"), ("😄", "smile"),
    ("😂", "joy"), ("🎉", "tada"), ("🔥", "fire"), ("🙏", "pray"), ("🤔", "thinking"), ("⏳", "hourglass_flowing_sand"),
    ("👌", "ok_hand"), ("🚀", "rocket"), ("💯", "100"), ("⚠", "warning"), ("😢", "cry"), ("👏", "clap"), ("🤖", "robot"),
];

pub fn emoji_name(emoji: &str) -> Option<&'static str> {
    let bare = emoji.trim_end_matches('\u{fe0f}');
    EMOJI.iter().find(|(e, _)| *e == bare).map(|(_, name)| *name)
}

pub fn emoji(name: &str) -> &str {
    let name = if name == "thumbsup" { "+1" } else if name == "thumbsdown" { "-1" } else { name };
    EMOJI.iter().find(|(_, n)| *n == name).map_or(name, |(e, _)| e)
}

/// Whether a text names the bot, as @name that no letter follows.
pub fn mentions(text: &str, name: &str) -> bool {
    find(text, name).is_some()
}

fn find(text: &str, name: &str) -> Option<(usize, usize)> {
    if name.is_empty() {
        return None;
    }
    let lower = text.to_ascii_lowercase(); // of the same length
    let wanted = format!("@{}", name.to_ascii_lowercase());
    lower.match_indices(&wanted).map(|(at, m)| (at, at + m.len())).find(|(_, end)| {
        let next = lower[*end..].trim_start_matches('.').chars().next(); // a dot may end the sentence
        !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    })
}

/// A text without the mention that it begins with.
pub fn unaddressed<'a>(text: &'a str, name: &str) -> &'a str {
    let text = text.trim();
    match find(text, name) {
        Some((0, end)) => text[end..].trim_start_matches([':', ',']).trim_start(),
        _ => text,
    }
}

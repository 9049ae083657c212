//! Text for snapshots: what is another one each time is replaced.

/// The text with times, tickets, durations and addresses replaced by words.
pub(crate) fn steady(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words: Vec<String> = Vec::new();
        let mut rest = line.split(' ').peekable();
        while let Some(word) = rest.next() {
            let bare = word.trim_matches(|c: char| ",;:()".contains(c));
            let tail = &word[word.rfind(bare).map_or(word.len(), |at| at + bare.len())..];
            let is_number = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
            let next = rest.peek().copied().unwrap_or_default();
            let replaced = if is_date(bare) && next.contains(':') {
                // The time and the zone belong to it.
                rest.next();
                let zone = rest
                    .next_if(|zone| zone.starts_with("UTC"))
                    .unwrap_or_default();
                format!("TIME{}", zone.strip_prefix("UTC").unwrap_or_default())
            } else if is_date(bare.get(..10).unwrap_or_default()) {
                format!("TIME{tail}")
            } else if is_number && bare.len() >= 15 {
                format!("TICKET{tail}")
            } else if is_number && next.trim_matches(',') == "ms" {
                "N".to_owned()
            } else if bare.starts_with("http://127.0.0.1:") {
                format!("HOST{tail}")
            } else if bare.starts_with("/tmp/") || bare.contains("/.tmp") {
                format!("PATH{tail}")
            } else {
                word.to_owned()
            };
            words.push(replaced);
        }
        lines.push(words.join(" "));
    }
    lines.join("\n")
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

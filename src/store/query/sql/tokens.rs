//! Where the words of a statement stand: as much of SQL as it takes to find them.

/// The words, quoted texts and signs of a statement with their places; blanks and comments are none.
pub(super) fn tokens(sql: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let length = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if rest.starts_with("--") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            continue;
        } else if let Some(closing) = closing(first) {
            quoted(rest, closing)
        } else if is_of_word(first) {
            rest.find(|letter| !is_of_word(letter))
                .unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        tokens.push((at, &rest[..length]));
        at += length;
    }
    tokens
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

/// What ends a text that begins so.
fn closing(first: char) -> Option<char> {
    match first {
        '\'' | '"' | '`' => Some(first),
        '[' => Some(']'),
        _ => None,
    }
}

/// The length of a quoted text, in which a doubled quote is one of it.
fn quoted(rest: &str, closing: char) -> usize {
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != closing {
            continue;
        }
        if closing != ']' && letters.peek().is_some_and(|(_, next)| *next == closing) {
            letters.next();
        } else {
            return at + closing.len_utf8();
        }
    }
    rest.len()
}

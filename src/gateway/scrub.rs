//! Removes secrets from text that comes from outside, before it is stored, logged or shown.
//!
//! A platform, or something in front of it, may repeat what it was sent: the token in a message, the query of a login in a redirect. It may
//! do so in another case, truncated, or encoded: percent encoding, JSON and HTML escapes, also several of them nested; Base64 of either
//! alphabet, with and without padding, also as a part of something longer; hexadecimal. All of these are found. Encryption, compression and
//! other alphabets are not.

use std::{
    borrow::Cow,
    collections::{HashSet, VecDeque},
    sync::{PoisonError, RwLock},
};

use secrecy::{ExposeSecret, SecretString};

use crate::model::{Answer, Ticket};

/// What stands in the place of a secret.
const CUT: &str = "[…]";
/// A part of a secret of so many characters is as secret as the whole: messages are clipped.
const PART: usize = 12;
/// What is shorter is cut only where it stands alone, or it would cut into words. The platform's keys have 24 and 40 characters.
const SHORT: usize = 8;
/// What is shorter is not looked for.
const SHORTEST: usize = 4;
/// Tokens and password hashes that are remembered; older ones have expired.
const RECENT: usize = 6;
/// Encodings on top of one another.
const LAYERS: usize = 3;

/// Knows the secrets of this moment.
#[derive(Default)]
pub(super) struct Scrubber {
    secrets: RwLock<Secrets>,
}

#[derive(Default)]
struct Secrets {
    lasting: Vec<Needles>,
    recent: VecDeque<Needles>,
}

/// What gives one secret away.
struct Needles {
    secret: SecretString,
    /// Parts of the secret in all of its spellings, folded.
    parts: HashSet<Box<[u8]>>,
    /// The length of each.
    length: usize,
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scrubber")
    }
}

impl Scrubber {
    /// Looks for this secret from now on.
    pub(super) fn keep(&self, secret: &str) {
        let needles = Needles::of(secret);
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        secrets.lasting.extend(needles);
    }

    /// Looks for this secret, which is good for a while, until others have taken its place.
    pub(super) fn learn(&self, secret: &str) {
        let needles = Needles::of(secret);
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        let known = |known: &Needles| known.secret.expose_secret() == secret;
        secrets.recent.retain(|needles| !known(needles));
        secrets.recent.extend(needles);
        while secrets.recent.len() > RECENT {
            secrets.recent.pop_front();
        }
    }

    /// The text without secrets.
    pub(super) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.len() < SHORTEST {
            return Cow::Borrowed(text);
        }
        let mut secret = vec![false; text.len()];
        let mut found = false;
        let mut layer: Vec<Piece> = text
            .bytes()
            .enumerate()
            .map(|(at, byte)| Piece {
                byte,
                start: at,
                end: at + 1,
            })
            .collect();
        {
            let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
            for _ in 0..=LAYERS {
                let folded: Vec<u8> = layer.iter().map(|piece| fold(piece.byte)).collect();
                for needles in secrets.lasting.iter().chain(&secrets.recent) {
                    for (at, part) in folded.windows(needles.length).enumerate() {
                        if needles.parts.contains(part) && needles.is_whole_part(&folded, at) {
                            found = true;
                            for piece in &layer[at..at + needles.length] {
                                secret[piece.start..piece.end].fill(true);
                            }
                        }
                    }
                }
                match decoded(&layer) {
                    Some(next) => layer = next,
                    None => break,
                }
            }
        }
        if !found {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut cutting = false;
        for (at, character) in text.char_indices() {
            if !secret[at] {
                out.push(character);
            } else if !cutting {
                out.push_str(CUT);
            }
            cutting = secret[at];
        }
        Cow::Owned(out)
    }

    /// Cuts secrets out of all that an answer says.
    pub(super) fn answer(&self, answer: &mut Answer) {
        self.message(&mut answer.message);
        let strays = answer.strays.iter_mut().map(|stray| {
            let keys = [Some(&mut stray.device_key), stray.product_key.as_mut()];
            for key in keys.into_iter().flatten() {
                self.words(key);
            }
            &mut stray.element
        });
        for element in answer.elements.iter_mut().flatten().chain(strays) {
            self.message(&mut element.message);
            self.message(&mut element.remark);
            self.ticket(&mut element.ticket);
        }
    }

    /// Cuts secrets out of a ticket that is none.
    pub(super) fn ticket(&self, ticket: &mut Option<Ticket>) {
        // A number is nobody's secret, and nearly every ticket is one.
        let Some(text) = ticket
            .as_ref()
            .filter(|ticket| ticket.as_integer().is_none())
        else {
            return;
        };
        if let Cow::Owned(cut) = self.text(text.as_str()) {
            *ticket = Ticket::new(&cut);
        }
    }

    fn message(&self, message: &mut Option<Box<str>>) {
        if let Some(text) = message {
            self.words(text);
        }
    }

    fn words(&self, words: &mut Box<str>) {
        if let Cow::Owned(cut) = self.text(words) {
            *words = cut.into();
        }
    }
}

impl Needles {
    fn of(secret: &str) -> Option<Self> {
        let text = secret.trim();
        let secret = text.as_bytes();
        if secret.len() < SHORTEST {
            return None;
        }
        let length = secret.len().min(PART);
        let mut parts = HashSet::new();
        let spellings = [
            secret.to_vec(),
            hex(secret),
            base64_within(secret, 0),
            base64_within(secret, 1),
            base64_within(secret, 2),
        ];
        for spelling in spellings {
            let folded: Vec<u8> = spelling.into_iter().map(fold).collect();
            parts.extend(folded.windows(length).map(Box::from));
        }
        Some(Self {
            secret: text.into(),
            parts,
            length,
        })
    }

    /// Whether a part that was found here is one, and not a piece of a word.
    fn is_whole_part(&self, text: &[u8], at: usize) -> bool {
        let inside = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        self.length >= SHORT || !(inside(before) || inside(text.get(at + self.length)))
    }
}

/// A character as it is compared: without its case, and in one alphabet of Base64.
fn fold(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte.to_ascii_lowercase(),
    }
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]))
        .collect()
}

/// What of the Base64 of a longer text follows from these bytes alone, when they begin `offset` bytes after a group of three.
fn base64_within(bytes: &[u8], offset: usize) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    // The first digit that has no bit of what stands before.
    let mut at = (6 - offset * 8 % 6) % 6;
    let mut out = Vec::new();
    while at + 6 <= bytes.len() * 8 {
        let digit = (at..at + 6).fold(0, |digit, at| digit << 1 | bits(at));
        out.push(DIGITS[usize::from(digit)]);
        at += 6;
    }
    out
}

/// A byte, and where in the text it comes from.
#[derive(Clone, Copy)]
struct Piece {
    byte: u8,
    start: usize,
    end: usize,
}

/// The text with one layer of encoding taken off; none when it has none.
fn decoded(pieces: &[Piece]) -> Option<Vec<Piece>> {
    let mut out = Vec::with_capacity(pieces.len());
    let mut at = 0;
    let mut changed = false;
    while at < pieces.len() {
        let (byte, length) = escape(&pieces[at..]).unwrap_or((pieces[at].byte, 1));
        changed |= length > 1;
        out.push(Piece {
            byte,
            start: pieces[at].start,
            end: pieces[at + length - 1].end,
        });
        at += length;
    }
    changed.then_some(out)
}

/// The ASCII character that an escape at the beginning stands for, and its length.
fn escape(pieces: &[Piece]) -> Option<(u8, usize)> {
    // The longest is `&#0000125;`, about.
    let bytes: Vec<u8> = pieces.iter().take(12).map(|piece| piece.byte).collect();
    let ascii = |digits: &[u8], radix| {
        let value = u32::from_str_radix(str::from_utf8(digits).ok()?, radix).ok()?;
        u8::try_from(value).ok().filter(u8::is_ascii)
    };
    match bytes.as_slice() {
        [b'%', high, low, ..] => Some((ascii(&[*high, *low], 16)?, 3)),
        [b'\\', b'u', b'{', ..] => None,
        [b'\\', b'u', digits @ ..] => Some((ascii(digits.get(..4)?, 16)?, 6)),
        [b'\\', b'x', digits @ ..] => Some((ascii(digits.get(..2)?, 16)?, 4)),
        [b'\\', literal @ (b'/' | b'"' | b'\'' | b'\\'), ..] => Some((*literal, 2)),
        [b'&', rest @ ..] => {
            let end = rest.iter().position(|byte| *byte == b';')?;
            let byte = match rest[..end].to_ascii_lowercase().as_slice() {
                [b'#', b'x', digits @ ..] => ascii(digits, 16)?,
                [b'#', digits @ ..] => ascii(digits, 10)?,
                b"amp" => b'&',
                b"quot" => b'"',
                b"apos" => b'\'',
                b"lt" => b'<',
                b"gt" => b'>',
                b"sol" => b'/',
                b"plus" => b'+',
                b"equals" => b'=',
                b"period" => b'.',
                b"lowbar" => b'_',
                b"nbsp" => b' ',
                _ => return None,
            };
            Some((byte, end + 2))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;

//! The binary payload of a device's history (page "FAQs About Product Usage"): tags with typed values become what `dmData` says of them.
//!
//! A tag is 16 bits, the numeric id and three bits of type: 0 and 1 are the booleans; 2 is a number, of which a byte has the sign, the
//! decimals and the length; 3 is bytes behind a length of 16 bits; 4 is a struct or an array behind a count of 16 bits, whose elements are
//! tags again, those of an array with the id 0.

use std::fmt::Write as _;

use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Bytes have no form of their own in `dmData`: whether they are text or hexadecimal digits says the model.
pub(super) const BYTES: &str = "bytes";

/// Structs within structs; a model has two levels.
const DEEPEST: usize = 16;

/// What a payload says, in the form of `dmData`; `None` when it is not of this form from its first byte to its last.
pub(super) fn read(payload: &[u8]) -> Option<Value> {
    let mut rest = payload;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        entries.push(tag(&mut rest, 0)?);
    }
    (!entries.is_empty()).then_some(entries.into())
}

fn tag(rest: &mut &[u8], depth: usize) -> Option<Value> {
    let tag = word(rest)?;
    let value = match tag & 7 {
        0 => json!(false),
        1 => json!(true),
        2 => number(rest)?,
        3 => {
            let length = word(rest)?;
            let bytes = take(rest, length.into())?;
            let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                // A string takes all.
                let _ = write!(hex, "{byte:02X}");
                hex
            });
            json!({ BYTES: hex })
        }
        4 if depth < DEEPEST => {
            let count = word(rest)?;
            let elements: Option<Vec<Value>> =
                (0..count).map(|_| self::tag(rest, depth + 1)).collect();
            elements?.into()
        }
        _ => return None,
    };
    Some(json!({"id": tag >> 3, "value": value}))
}

/// A number as text, as `dmData` has it.
fn number(rest: &mut &[u8]) -> Option<Value> {
    let head = take(rest, 1)?.first().copied()?;
    let (is_negative, decimals, length) = (head & 0x80 != 0, (head >> 3) & 0x0f, (head & 7) + 1);
    let digits = take(rest, length.into())?;
    let magnitude = digits
        .iter()
        .fold(0_i128, |sum, byte| (sum << 8) | i128::from(*byte));
    let signed = if is_negative { -magnitude } else { magnitude };
    let number = Decimal::try_from_i128_with_scale(signed, decimals.into()).ok()?;
    Some(number.to_string().into())
}

fn word(rest: &mut &[u8]) -> Option<u16> {
    let bytes = take(rest, 2)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vendors_answer_says_what_its_dm_data_says() {
        let payload = [0, 0x29, 0, 0x34, 0, 1, 0, 0x0a, 0, 0x14];
        assert_eq!(
            read(&payload),
            Some(json!([{"id": 5, "value": true}, {"id": 6, "value": [{"id": 1, "value": "20"}]}]))
        );
    }

    #[test]
    fn numbers_have_a_sign_and_decimals() {
        for (bytes, expected) in [
            (&[0x00, 0x00][..], "0"),
            (&[0x08, 0xcd], "20.5"),
            (&[0x89, 0x01, 0x00], "-25.6"),
            (&[0x80, 0x07], "-7"),
            (&[0x07, 0x80, 0, 0, 0, 0, 0, 0, 0], "9223372036854775808"),
        ] {
            let payload = [&[0, 0x0a][..], bytes].concat();
            assert_eq!(
                read(&payload),
                Some(json!([{"id": 1, "value": expected}])),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn text_and_raw_bytes_stay_bytes() {
        assert_eq!(
            read(&[0, 0x0b, 0, 2, 0xab, 0x01]),
            Some(json!([{"id": 1, "value": {"bytes": "AB01"}}]))
        );
    }

    #[test]
    fn what_is_cut_or_of_another_form_is_nothing() {
        for payload in [
            &[][..],
            &[0],
            // The ids of a read.
            &[0, 5, 0, 6],
            &[0, 0x0a],
            &[0, 0x0a, 1, 5],
            &[0, 0x0b, 0, 3, 1, 2],
            &[0, 0x34, 0, 2, 0, 0x29],
            &[0, 0x29, 0],
        ] {
            assert_eq!(read(payload), None, "{payload:?}");
        }
        // Structs without an end.
        assert_eq!(read(&[0, 4, 0, 1].repeat(10_000)), None);
    }

    proptest! {
        #[test]
        fn no_payload_is_too_much(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&payload);
        }
    }
}

//! The wire string of a command as a tree: what the encoder of the manifest writes, and what a row may give in `data`.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};

/// The services that a command calls, and their parameters, in its order.
pub(super) type Call<'a> = Vec<Pair<'a>>;

/// A code and its value: an object of one member.
#[derive(Debug, PartialEq)]
pub(super) struct Pair<'a>(pub(super) Cow<'a, str>, pub(super) Tree<'a>);

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Tree<'a> {
    /// A scalar's text. The documentation writes every scalar as a string, and does not say what the platform makes of a bare one: it is
    /// taken by its text, which is what a string of it would be.
    Scalar(Cow<'a, str>),
    /// `null`, of which nothing is documented.
    Null,
    /// The members of a struct, or the elements of an array, whose code is `0`.
    List(Vec<Pair<'a>>),
}

/// Reads a wire string; the error says what is no command about it.
pub(super) fn read(wire: &str) -> Result<Call<'_>, serde_json::Error> {
    serde_json::from_str(wire)
}

impl<'de> Deserialize<'de> for Pair<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneMember;
        impl<'de> Visitor<'de> for OneMember {
            type Value = Pair<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of one member, such as {\"code\":\"value\"}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let Some((Code(code), value)) = map.next_entry()? else {
                    return Err(de::Error::invalid_length(0, &self));
                };
                if let Some(Code(second)) = map.next_key()? {
                    return Err(de::Error::custom(format_args!(
                        "`{code}` and `{second}` stand in one object; each takes an object of its own"
                    )));
                }
                Ok(Pair(code, value))
            }
        }
        deserializer.deserialize_map(OneMember)
    }
}

/// A key that is borrowed when it has no escapes.
#[derive(Deserialize)]
struct Code<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of objects with one member each")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Tree::Scalar(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Tree::Scalar(Cow::Owned(text.to_owned())))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Tree::Scalar(Cow::Borrowed(if value {
                    "true"
                } else {
                    "false"
                })))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Tree::Scalar(Cow::Owned(value.to_string())))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Tree::Scalar(Cow::Owned(value.to_string())))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Tree::Scalar(Cow::Owned(value.to_string())))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Tree::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = seq.next_element()? {
                    pairs.push(pair);
                }
                Ok(Tree::List(pairs))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

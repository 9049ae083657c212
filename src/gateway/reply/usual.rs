//! Reads the usual reply in one pass.
//!
//! Almost every reply is written like the example of the specification, and is read here. Everything else (a code that is text, an escape,
//! an element without a key) is left to the tolerant reader, which scans a reply once for each level. Both read the same reply to the same
//! result.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{Found, Top};
use crate::{
    gateway::lenient::{self, Field},
    model::{Element, Ticket},
};

/// Reads a usual reply, and puts its elements where they belong. Without a result, what was found until then is to be forgotten.
pub(super) fn read(text: &str, found: &mut Found<'_>) -> Option<Top> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let top = deserializer.deserialize_map(Reply(found)).ok()?;
    deserializer.end().ok()?;
    Some(top)
}

/// The object at the top.
struct Reply<'f, 'r>(&'f mut Found<'r>);

impl<'de> Visitor<'de> for Reply<'_, '_> {
    type Value = Top;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reply")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Top, A::Error> {
        let mut top = Top::default();
        let mut has_data = false;
        while let Some(field) = fields.next_key()? {
            match field {
                Field::Code => {
                    let code = fields.next_value()?;
                    top.code = top.code.or(Some(code));
                }
                Field::Msg => {
                    let msg = words(&mut fields)?;
                    top.msg = top.msg.or(msg);
                }
                Field::Message => {
                    let message = words(&mut fields)?;
                    top.message = top.message.or(message);
                }
                // Of two, the last would count alone.
                Field::Data if has_data => return Err(A::Error::custom("data twice")),
                Field::Data => {
                    fields.next_value_seed(Elements(&mut *self.0))?;
                    has_data = true;
                }
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(top)
    }
}

/// The array of elements.
struct Elements<'f, 'r>(&'f mut Found<'r>);

impl<'de> DeserializeSeed<'de> for Elements<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut index = 0;
        while elements
            .next_element_seed(One(&mut *self.0, index))?
            .is_some()
        {
            index += 1;
        }
        Ok(())
    }
}

/// One element, and which of them it is.
struct One<'f, 'r>(&'f mut Found<'r>, usize);

impl<'de> DeserializeSeed<'de> for One<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an element")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let (mut device_key, mut product_key) = (None, None);
        let (mut code, mut msg, mut message, mut ticket) = (None, None, None, None);
        while let Some(field) = fields.next_key()? {
            match field {
                Field::DeviceKey => device_key = Some(key(&mut fields)?),
                Field::ProductKey => product_key = Some(key(&mut fields)?),
                Field::Code => code = Some(fields.next_value()?),
                Field::Ticket if ticket.is_some() => {
                    return Err(A::Error::custom("ticket twice"));
                }
                Field::Ticket => {
                    let text: Option<&str> = fields.next_value()?;
                    if text.is_some_and(|text| text.len() > Ticket::MAX_BYTES) {
                        return Err(A::Error::custom("too long for a ticket"));
                    }
                    ticket = text.and_then(Ticket::new);
                }
                Field::Msg => msg = words(&mut fields)?,
                Field::Message => message = words(&mut fields)?,
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        let Some(device_key) = device_key else {
            return Err(A::Error::missing_field("deviceKey"));
        };
        let element = Element {
            code,
            message: message.or(msg),
            ticket,
            ..Element::default()
        };
        let Self(found, index) = self;
        match found.place_of(device_key, product_key, index) {
            Some(place) => found.put(place, element),
            None => found.stray(Some(device_key), product_key, element),
        }
        Ok(())
    }
}

/// A key; empty text is none.
fn key<'de, A: MapAccess<'de>>(fields: &mut A) -> Result<&'de str, A::Error> {
    let key: &str = fields.next_value()?;
    if key.is_empty() {
        return Err(A::Error::custom("an empty key"));
    }
    Ok(key)
}

fn words<'de, A: MapAccess<'de>>(fields: &mut A) -> Result<Option<Box<str>>, A::Error> {
    let words: Option<&str> = fields.next_value()?;
    Ok(words.and_then(lenient::clipped))
}

//! Reads the platform's reply to `sendServiceData`, and finds each device's part of it.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use super::{
    Outgoing,
    lenient::{self, Field},
};
use crate::model::{Answer, Element, Stray, Ticket};

mod usual;

/// Reads a reply's body, as tolerantly as can be done without guessing (platform notes, "Numbers in replies").
///
/// A device's element is found by its key, which may come back in another case or with blanks as long as one device alone can be meant.
/// What the reply says of a device twice is settled for acceptance, and every ticket is kept; what it says of others is given beside. A body that is not one whole JSON object makes an answer that is not readable.
pub fn read(
    http_status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    request: &Outgoing,
) -> Answer {
    let text = text(body);
    let text = text.trim_start_matches('\u{feff}');
    let mut found = Found::new(request);
    let top = usual::read(text, &mut found).or_else(|| {
        found = Found::new(request);
        tolerant(text, &mut found)
    });
    if !found.strays.is_empty() || found.doubles > 0 {
        tracing::warn!(
            product_key = &*request.payload.product_key,
            strays = found.strays.len(),
            doubles = found.doubles,
            "a reply has elements for devices that were not asked for, or several for one"
        );
    }
    Answer {
        elements: found.elements,
        strays: found.strays,
        ..answer(http_status, retry_after, top)
    }
}

/// Reads a reply that speaks of no device, or whose devices are somebody else's to read.
pub(super) fn read_whole(http_status: u16, retry_after: Option<Duration>, body: &[u8]) -> Answer {
    let text = text(body);
    let top = fields(text.trim_start_matches('\u{feff}')).map(|(top, _)| top);
    answer(http_status, retry_after, top)
}

/// The text of a body. A message in another encoding must not cost the codes and tickets that stand beside it.
fn text(body: &[u8]) -> Cow<'_, str> {
    // Several times as fast for what is UTF-8.
    str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

/// What stands at the top of a reply, but for its `data`.
#[derive(Debug, Default, PartialEq)]
struct Top {
    code: Option<i64>,
    has_unreadable_code: bool,
    msg: Option<Box<str>>,
    message: Option<Box<str>>,
}

/// The answer of a reply with this at its top, if that could be read.
fn answer(http_status: u16, retry_after: Option<Duration>, top: Option<Top>) -> Answer {
    let readable = top.is_some();
    let top = top.unwrap_or_default();
    Answer {
        http_status,
        readable,
        code: top.code,
        message: top.msg.or(top.message),
        elements: Vec::new(),
        retry_after,
        has_unreadable_code: top.has_unreadable_code && top.code.is_none(),
        strays: Vec::new(),
    }
}

/// Reads a reply whatever the types of its fields, and puts its elements where they belong.
fn tolerant(text: &str, found: &mut Found<'_>) -> Option<Top> {
    let (top, data) = fields(text)?;
    // Of a repeated field the last one counts as a rule; but here each may hold tickets.
    for data in data {
        found.take_all(data);
    }
    Some(top)
}

/// The fields of a reply, its `data` as text; nothing when it is not one whole object.
fn fields(text: &str) -> Option<(Top, Vec<&str>)> {
    let (mut top, mut data) = (Top::default(), Vec::new());
    let readable = lenient::fields(text, |key, value| match key {
        Field::Code => {
            top.code = top.code.or_else(|| lenient::integer(value));
            top.has_unreadable_code |= is_unreadable(value);
        }
        Field::Msg => top.msg = top.msg.take().or_else(|| lenient::message(value)),
        Field::Message => top.message = top.message.take().or_else(|| lenient::message(value)),
        Field::Data => data.push(value),
        _ => {}
    });
    readable.then_some((top, data))
}

/// Whether a code says something that cannot be read. Null and blank text say nothing.
fn is_unreadable(code: &str) -> bool {
    lenient::integer(code).is_none() && code != "null" && !code.trim_matches('"').trim().is_empty()
}

/// A key without what may differ when it comes back.
fn folded(key: &str) -> String {
    key.chars()
        .filter(|character| !character.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect()
}

/// The elements of a reply, put in the order of the devices.
struct Found<'r> {
    devices: &'r [Arc<str>],
    product_key: &'r str,
    /// Where each device stands; made when an element is met that does not stand where its device does.
    places: Option<HashMap<&'r str, usize>>,
    /// The same by folded keys; those that several devices share lead nowhere.
    folded: Option<HashMap<String, Option<usize>>>,
    elements: Vec<Option<Element>>,
    /// Elements that belong to no device of the request.
    strays: Vec<Stray>,
    /// Elements for a device that had one.
    doubles: u32,
}

impl<'r> Found<'r> {
    fn new(request: &'r Outgoing) -> Self {
        Self {
            devices: &request.devices,
            product_key: &request.payload.product_key,
            places: None,
            folded: None,
            elements: vec![None; request.devices.len()],
            strays: Vec::new(),
            doubles: 0,
        }
    }

    /// Takes the elements of `data`: an array, or one object in its place.
    fn take_all(&mut self, data: &str) {
        if data.starts_with('{') {
            self.take(data, 0, self.devices.len() == 1);
            return;
        }
        // Counted only where it matters, which spares the usual reply a pass.
        let alone = self.devices.len() == 1 && {
            let mut count = 0;
            lenient::items(data, |_| count += 1);
            count == 1
        };
        let mut index = 0;
        lenient::items(data, |element| {
            self.take(element, index, alone);
            index += 1;
        });
    }

    /// Takes one element, the `index`th of the reply; `alone` when it is the only one and one device was asked for.
    fn take(&mut self, json: &str, index: usize, alone: bool) {
        let (mut device_key, mut product_key) = (None, None);
        let (mut code, mut msg, mut message, mut unreadable) = (None, None, None, None);
        let mut tickets = Vec::new();
        let is_object = lenient::fields(json, |key, value| match key {
            Field::DeviceKey => device_key = lenient::id(value),
            Field::ProductKey => product_key = lenient::id(value),
            Field::Code => {
                code = lenient::integer(value);
                unreadable = is_unreadable(value).then_some(value);
            }
            Field::Ticket => tickets.extend(lenient::id(value)),
            Field::Msg => msg = lenient::message(value),
            Field::Message => message = lenient::message(value),
            _ => {}
        });
        let mut element = Element {
            code,
            message: message.or(msg),
            ticket: None,
            has_unreadable_code: unreadable.is_some(),
            remark: None,
        };
        if let Some(code) = unreadable.and_then(lenient::clipped) {
            element.remark(&format!("its code cannot be read: {code}"));
        }
        for text in tickets {
            match (Ticket::new(&text), &element.ticket) {
                (Some(ticket), None) => element.ticket = Some(ticket),
                (Some(ticket), Some(first)) if ticket != *first => {
                    element.remark(&format!("also ticket {ticket}"));
                }
                (Some(_), Some(_)) => {}
                (None, _) => element.remark(&format!(
                    "its ticket has {} bytes, and was not stored",
                    text.len()
                )),
            }
        }
        let place = match &device_key {
            _ if !is_object => None,
            Some(key) => self.place_of(key, product_key.as_deref(), index),
            None if self.is_of_another_product(product_key.as_deref()) => None,
            // Who else could be meant, if it says anything?
            None if alone && element != Element::default() => Some(0),
            None => None,
        };
        match place {
            Some(place) => self.put(place, element),
            None => self.stray(device_key.as_deref(), product_key.as_deref(), element),
        }
    }

    fn is_of_another_product(&self, product_key: Option<&str>) -> bool {
        product_key
            .is_some_and(|key| key != self.product_key && folded(key) != folded(self.product_key))
    }

    /// Notes an element that belongs to no device of the request.
    fn stray(&mut self, device_key: Option<&str>, product_key: Option<&str>, element: Element) {
        self.strays.push(Stray {
            device_key: device_key.and_then(lenient::clipped).unwrap_or_default(),
            product_key: product_key
                .filter(|key| *key != self.product_key)
                .and_then(lenient::clipped),
            element,
        });
    }

    /// Where this device stands in the request, if it does. Replies come in the order of the request as a rule, so the `index`th place is
    /// looked at first.
    fn place_of(
        &mut self,
        device_key: &str,
        product_key: Option<&str>,
        index: usize,
    ) -> Option<usize> {
        if self.is_of_another_product(product_key) {
            return None;
        }
        if self
            .devices
            .get(index)
            .is_some_and(|device| **device == *device_key)
        {
            return Some(index);
        }
        let devices = self.devices;
        self.places
            .get_or_insert_with(|| {
                devices
                    .iter()
                    .enumerate()
                    .map(|(place, device)| (&**device, place))
                    .collect()
            })
            .get(device_key)
            .copied()
            .or_else(|| self.folded_place_of(device_key))
    }

    /// Where the one device stands whose key is this one but for case and blanks.
    fn folded_place_of(&mut self, device_key: &str) -> Option<usize> {
        let devices = self.devices;
        let places = self.folded.get_or_insert_with(|| {
            let mut places = HashMap::new();
            for (place, device) in devices.iter().enumerate() {
                places
                    .entry(folded(device))
                    .and_modify(|place| *place = None)
                    .or_insert(Some(place));
            }
            places
        });
        places.get(&folded(device_key)).copied().flatten()
    }

    /// Puts an element in its place. Of two for one device, the one stays that accepts, and of those the one with a ticket; else the
    /// first. The other's ticket stays as a remark.
    fn put(&mut self, place: usize, element: Element) {
        let kept = &mut self.elements[place];
        let Some(before) = kept.take() else {
            *kept = Some(element);
            return;
        };
        self.doubles += 1;
        let (mut better, worse) = if worth(&element) > worth(&before) {
            (element, before)
        } else {
            (before, element)
        };
        if let Some(ticket) = &worse.ticket
            && worse.ticket != better.ticket
        {
            better.remark(&format!("also ticket {ticket}"));
        }
        if let Some(remark) = worse.remark {
            better.remark(&remark);
        }
        *kept = Some(better);
    }
}

/// How much would be lost with an element: an acceptance most of all, then a ticket.
fn worth(element: &Element) -> (bool, bool) {
    (
        matches!(element.code, Some(200 | 201)),
        element.ticket.is_some(),
    )
}

#[cfg(test)]
mod tests;

//! How many bytes may be on their way to the platform.

use std::sync::Arc;

use crate::model::Payload;

/// What claims may take in memory together, in bytes, about; with the payload cache and the long replies 64 MiB. One that is larger goes
/// alone.
const MOST: usize = 40 << 20;

/// How often a payload lies in memory while its request is under way: as such, as text for JSON, whose quotes are escaped, and in what is
/// being written to the connection.
const COPIES: usize = 3;

/// The memory of the claims that have not been recorded.
#[derive(Debug, Default)]
pub(super) struct Room {
    taken: usize,
    full: bool,
}

impl Room {
    /// Begins another claim: what did not fit is tried again.
    pub(super) fn begin(&mut self) {
        self.full = false;
    }

    /// Whether something did not fit.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Takes the room of a request with this payload, if there is enough.
    pub(super) fn take(&mut self, payload: &Arc<Payload>) -> bool {
        let size = COPIES * payload.bytes();
        if self.taken > 0 && self.taken + size > MOST {
            self.full = true;
            return false;
        }
        self.taken += size;
        true
    }

    /// Takes the room of a request that goes whatever is on its way.
    pub(super) fn force(&mut self, payload: &Arc<Payload>) {
        self.taken += COPIES * payload.bytes();
    }

    /// Gives the room of a request back, which a process before this one may have taken.
    pub(super) fn give_back(&mut self, payload: &Arc<Payload>) {
        self.taken = self.taken.saturating_sub(COPIES * payload.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(bytes: usize) -> Arc<Payload> {
        Arc::new(Payload {
            product_key: "".into(),
            data: "x".repeat(bytes).into(),
            qos: None,
            is_cache: None,
            cache_time: None,
            is_cover: None,
            extend_para: None,
        })
    }

    #[test]
    fn what_is_too_large_goes_alone() {
        let mut room = Room::default();
        let (huge, small) = (payload(MOST), payload(1));
        assert!(room.take(&huge));
        assert!(!room.take(&small));
        assert!(room.is_full());
        room.give_back(&huge);
        room.begin();
        assert!(room.take(&small) && !room.take(&huge));
        room.give_back(&small);
        room.give_back(&small);
        assert!(room.take(&huge));
    }

    #[test]
    fn small_payloads_are_not_held_up() {
        let mut room = Room::default();
        let usual = payload(200);
        assert!((0..2048).all(|_| room.take(&usual)));
        assert!(!room.is_full());
    }
}

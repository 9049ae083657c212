//! What the platform remembers of single devices: their limits, and the requests that they are in at this moment.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    chance::{Chance, Question, hash, mix},
    codes,
    scenario::{AtFirst, Limit, Scenario},
};
use crate::model::Timestamp;

/// A device: a hash of its product key and its device key. With a million devices the odds of a collision are one in 37 million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Device {
    /// Of both keys: which device it is.
    pub(super) id: u64,
    /// Of the device key alone: what chance has in store for it.
    pub(super) seed: u64,
}

impl Device {
    pub(super) fn new(product_hash: u64, device_key: &str) -> Self {
        let seed = hash(device_key);
        Self {
            id: mix(seed ^ product_hash),
            seed,
        }
    }
}

/// Ids are hashes already.
#[derive(Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = mix(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

type ById<V> = HashMap<u64, V, BuildHasherDefault<Ready>>;

#[derive(Default)]
struct Shard {
    /// In how many requests a device is at this moment; no entry for none.
    busy: ById<u32>,
    histories: ById<History>,
}

/// What a device's limits depend on. There is one only for devices that have met a limit's question.
#[derive(Debug, Clone, Copy, Default)]
struct History {
    frequency_refused: u32,
    quota_refused: u32,
    frequency: CallWindow,
    quota: CallWindow,
}

#[derive(Debug, Clone, Copy, Default)]
struct CallWindow {
    since_ms: i64,
    messages: u32,
}

impl CallWindow {
    /// Whether one more message fits.
    fn has_room(&mut self, limit: Option<Limit>, now: Timestamp) -> bool {
        let Some(limit) = limit else { return true };
        let length = i64::try_from(limit.window_ms).unwrap_or(i64::MAX);
        if self.messages == 0 || now.0.saturating_sub(self.since_ms) >= length {
            *self = Self {
                since_ms: now.0,
                messages: 0,
            };
        }
        self.messages < limit.messages
    }
}

/// Every device, spread over locks that are held for nanoseconds.
pub(super) struct Fleet {
    shards: [Mutex<Shard>; SHARDS],
}

const SHARDS: usize = 64;

impl Fleet {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    fn shard(&self, device: Device) -> MutexGuard<'_, Shard> {
        // The map inside uses the low bits, so the high ones choose the shard; the highest seven are the map's again.
        let index = (device.id >> 48) as usize % SHARDS;
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks devices as being in a request until the guard is dropped.
    pub(super) fn enter<'a>(&'a self, devices: &'a [Device]) -> Busy<'a> {
        let overlaps = devices
            .iter()
            .map(|&device| {
                let mut shard = self.shard(device);
                let requests = shard.busy.entry(device.id).or_default();
                *requests += 1;
                u64::from(*requests > 1)
            })
            .sum();
        Busy {
            fleet: self,
            devices,
            overlaps,
        }
    }

    /// Whether a device's limits let one more message through, which then counts; the error is the code of the refusal.
    pub(super) fn admit(
        &self,
        device: Device,
        scenario: &Scenario,
        chance: Chance,
        now: Timestamp,
    ) -> Result<(), i64> {
        let slow = |first: AtFirst, question| {
            if chance.within(first.share, question, device.seed) {
                first.sends
            } else {
                0
            }
        };
        let frequency_first = slow(scenario.frequency_at_first, Question::FrequencyAtFirst);
        let quota_first = slow(scenario.quota_at_first, Question::QuotaAtFirst);
        let unlimited = scenario.frequency_limit.is_none() && scenario.quota_limit.is_none();
        if unlimited && frequency_first == 0 && quota_first == 0 {
            return Ok(());
        }

        let mut shard = self.shard(device);
        let history = shard.histories.entry(device.id).or_default();
        if history.quota_refused < quota_first {
            history.quota_refused += 1;
            return Err(codes::QUOTA);
        }
        if history.frequency_refused < frequency_first {
            history.frequency_refused += 1;
            return Err(codes::FREQUENCY);
        }
        if !history.quota.has_room(scenario.quota_limit, now) {
            return Err(codes::QUOTA);
        }
        if !history.frequency.has_room(scenario.frequency_limit, now) {
            return Err(codes::FREQUENCY);
        }
        history.quota.messages += 1;
        history.frequency.messages += 1;
        Ok(())
    }
}

/// Devices that are in a request.
pub(super) struct Busy<'a> {
    fleet: &'a Fleet,
    devices: &'a [Device],
    /// How many of them were in another request already.
    pub(super) overlaps: u64,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        for &device in self.devices {
            let mut shard = self.fleet.shard(device);
            if let Some(requests) = shard.busy.get_mut(&device.id) {
                *requests -= 1;
                if *requests == 0 {
                    shard.busy.remove(&device.id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(key: &str) -> Device {
        Device::new(hash("PK1"), key)
    }

    #[test]
    fn overlaps_are_seen_while_they_last() {
        let fleet = Fleet::new();
        let [a, b, c] = ["A", "B", "C"].map(device);
        let (ab, bc) = ([a, b], [b, c]);
        let first = fleet.enter(&ab);
        assert_eq!(first.overlaps, 0);
        let second = fleet.enter(&bc);
        assert_eq!(second.overlaps, 1);
        drop(first);
        assert_eq!(fleet.enter(&[b]).overlaps, 1);
        drop(second);
        assert_eq!(fleet.enter(&[a, b, c]).overlaps, 0);
        assert_eq!(fleet.enter(&[a, a]).overlaps, 1);
        let other_product = Device::new(hash("PK2"), "A");
        assert_eq!(fleet.enter(&[a, other_product]).overlaps, 0);
        let mut shards = fleet.shards.iter().map(|shard| shard.lock().unwrap());
        assert!(
            shards.all(|shard| shard.busy.is_empty()),
            "nothing is left behind"
        );
    }

    #[test]
    fn a_window_takes_its_messages_and_begins_anew() {
        let fleet = Fleet::new();
        let scenario = Scenario {
            frequency_limit: Some(Limit {
                messages: 2,
                window_ms: 1000,
            }),
            quota_limit: Some(Limit {
                messages: 3,
                window_ms: 60_000,
            }),
            ..Scenario::default()
        };
        let admit = |key, at| fleet.admit(device(key), &scenario, Chance::new(0), Timestamp(at));
        assert_eq!(admit("A", 5000), Ok(()));
        assert_eq!(admit("A", 5400), Ok(()));
        assert_eq!(admit("A", 5999), Err(61007));
        assert_eq!(admit("B", 5999), Ok(()), "a neighbour is not concerned");
        assert_eq!(admit("A", 6000), Ok(()));
        assert_eq!(admit("A", 6001), Err(61006));
        assert_eq!(admit("A", 64_999), Err(61006));
        assert_eq!(admit("A", 65_000), Ok(()));
    }

    #[test]
    fn first_sends_are_refused_as_often_as_told() {
        let fleet = Fleet::new();
        let scenario = Scenario {
            quota_at_first: AtFirst {
                share: 1.0,
                sends: 1,
            },
            frequency_at_first: AtFirst {
                share: 1.0,
                sends: 2,
            },
            ..Scenario::default()
        };
        let answers: Vec<_> = (0..5)
            .map(|at| fleet.admit(device("A"), &scenario, Chance::new(0), Timestamp(at)))
            .collect();
        assert_eq!(
            answers,
            [Err(61006), Err(61007), Err(61007), Ok(()), Ok(())]
        );
    }
}

//! What was found in a manifest, and how it is counted within bounds.

use std::{collections::HashMap, sync::Arc};

use crate::model::Payload;

/// How many rows something stands in, and where first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Met {
    pub rows: u64,
    /// The line of the first one; 0 when there is none.
    pub line: u64,
}

impl Met {
    /// Counts rows of which the first stands on this line.
    pub(super) fn add(&mut self, rows: u64, line: u64) {
        self.line = if self.rows == 0 {
            line
        } else {
            self.line.min(line)
        };
        self.rows += rows;
    }
}

/// The different values that a parameter or a label has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Values {
    /// These, in the order in which they were met.
    These(Vec<(Box<str>, Met)>),
    /// So many, or such long ones, that they are not kept.
    Many,
}

impl Values {
    /// The values, when they are known.
    pub(crate) fn known(&self) -> Option<&[(Box<str>, Met)]> {
        match self {
            Self::These(values) => Some(values),
            Self::Many => None,
        }
    }
}

/// A parameter of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParameterUse {
    pub code: Box<str>,
    /// Rows that give it.
    pub met: Met,
    /// What they give.
    pub values: Values,
}

/// A service that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceUse {
    pub code: Box<str>,
    /// Rows that call it.
    pub met: Met,
    /// Those of them that call it without any parameter.
    pub bare: Met,
    /// Its parameters in the order in which they were met.
    pub parameters: Vec<ParameterUse>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelUse {
    pub name: Box<str>,
    /// Rows that have it.
    pub met: Met,
    /// What they have.
    pub values: Values,
    /// Whether the column is called so, and not `label.<name>`: it may have been meant as a parameter.
    pub is_implied: bool,
}

/// A payload and its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PayloadUse {
    pub payload: Arc<Payload>,
    /// Its rows.
    pub met: Met,
    /// The device of the first one.
    pub device_key: Box<str>,
}

/// What a manifest would send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preview {
    /// Good rows.
    pub rows: u64,
    /// Payloads with their rows, those of most rows first; of as many rows, the earlier first.
    pub payloads: Vec<PayloadUse>,
    /// Whether there are more payloads than those.
    pub more_payloads: bool,
    /// Services, those of most rows first.
    pub services: Vec<ServiceUse>,
    /// Labels in the order in which they were met.
    pub labels: Vec<LabelUse>,
    /// Whether there are more services, parameters or labels than those.
    pub more_names: bool,
    /// Rows whose `data` is JSON and not the wire form, with the data of the first.
    pub not_wire_form: Option<(Met, Box<str>)>,
    /// Rows whose `data` has values without quotes, with the data of the first.
    pub bare_value: Option<(Met, Box<str>)>,
}

/// What counting may keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Names of services, parameters and labels, all together.
    pub(super) names: usize,
    pub(super) values: usize,
    pub(super) all_values: usize,
    /// The longest name or value, in bytes.
    pub(super) longest: usize,
}

/// How much more may be kept.
#[derive(Debug)]
pub(super) struct Room {
    limits: Limits,
    names: usize,
    values: usize,
    /// Whether a name has found no room.
    pub(super) is_over: bool,
}

impl Room {
    pub(super) fn within(limits: Limits) -> Self {
        Self {
            limits,
            names: limits.names,
            values: limits.all_values,
            is_over: false,
        }
    }

    fn takes_name(&mut self, name: &str) -> bool {
        let takes = self.names > 0 && name.len() <= self.limits.longest;
        if takes {
            self.names -= 1;
        } else {
            self.is_over = true;
        }
        takes
    }
}

/// A name with its rows and values while they are counted.
#[derive(Debug)]
pub(super) struct Counted {
    name: Box<str>,
    met: Met,
    /// Nothing when they are too many or too long.
    values: Option<HashMap<Box<str>, (Met, usize)>>,
}

impl Counted {
    fn add(&mut self, value: &str, rows: u64, line: u64, room: &mut Room) {
        self.met.add(rows, line);
        let Some(values) = &mut self.values else {
            return;
        };
        if let Some((met, _)) = values.get_mut(value) {
            met.add(rows, line);
            return;
        }
        let place = values.len();
        if place >= room.limits.values || room.values == 0 || value.len() > room.limits.longest {
            room.values += place;
            self.values = None;
            return;
        }
        room.values -= 1;
        let mut met = Met::default();
        met.add(rows, line);
        values.insert(value.into(), (met, place));
    }

    fn finish(self) -> (Box<str>, Met, Values) {
        let values = match self.values {
            Some(values) => {
                let mut placed: Vec<_> = values.into_iter().collect();
                placed.sort_unstable_by_key(|(_, (_, place))| *place);
                let values = placed.into_iter().map(|(value, (met, _))| (value, met));
                Values::These(values.collect())
            }
            None => Values::Many,
        };
        (self.name, self.met, values)
    }
}

/// Names with their rows and values, in the order in which they were met.
#[derive(Debug, Default)]
pub(super) struct Names {
    all: Vec<Counted>,
    places: HashMap<Box<str>, usize>,
    /// Where the next name stands if rows give them in the same order.
    next: usize,
}

impl Names {
    /// Counts rows that give this value to this name.
    pub(super) fn add(&mut self, name: &str, value: &str, rows: u64, line: u64, room: &mut Room) {
        let place = match self.all.get(self.next) {
            Some(counted) if *counted.name == *name => self.next,
            _ => match self.places.get(name) {
                Some(place) => *place,
                None if room.takes_name(name) => {
                    self.places.insert(name.into(), self.all.len());
                    self.all.push(Counted {
                        name: name.into(),
                        met: Met::default(),
                        values: Some(HashMap::new()),
                    });
                    self.all.len() - 1
                }
                None => return,
            },
        };
        self.all[place].add(value, rows, line, room);
        self.next = if place + 1 < self.all.len() {
            place + 1
        } else {
            0
        };
    }

    /// All of them.
    pub(super) fn finish(self) -> impl Iterator<Item = (Box<str>, Met, Values)> {
        self.all.into_iter().map(Counted::finish)
    }
}

/// A service with its parameters while they are counted.
#[derive(Debug, Default)]
pub(super) struct Service {
    pub(super) met: Met,
    pub(super) bare: Met,
    pub(super) parameters: Names,
}

/// The services while they are counted.
#[derive(Debug, Default)]
pub(super) struct Services(HashMap<Box<str>, Service>);

impl Services {
    /// The service of this code, if there is room for it.
    pub(super) fn get(&mut self, code: &str, room: &mut Room) -> Option<&mut Service> {
        if !self.0.contains_key(code) {
            if !room.takes_name(code) {
                return None;
            }
            self.0.insert(code.into(), Service::default());
        }
        self.0.get_mut(code)
    }

    /// All of them, those of most rows first.
    pub(super) fn finish(self) -> Vec<ServiceUse> {
        let mut services: Vec<ServiceUse> = self
            .0
            .into_iter()
            .map(|(code, service)| ServiceUse {
                code,
                met: service.met,
                bare: service.bare,
                parameters: service
                    .parameters
                    .finish()
                    .map(|(code, met, values)| ParameterUse { code, met, values })
                    .collect(),
            })
            .collect();
        services.sort_unstable_by(|a, b| {
            let place = |service: &ServiceUse| (u64::MAX - service.met.rows, service.met.line);
            place(a).cmp(&place(b)).then_with(|| a.code.cmp(&b.code))
        });
        services
    }
}

//! The fleet as the platform lists it: the products of the account, and the devices of a product. A list is read until it does not change.

use std::collections::HashSet;

use anyhow::anyhow;

use super::{
    interrupt::Interrupt,
    target::{self, Connection},
};
use crate::{
    budget::Budget,
    clock::Clock,
    engine::{QuestionOptions, Questions, Stop},
    exit::Failure,
    gateway::DeviceQuery,
    journal::listing::{PageRead, Reading, ReadingVerdict},
    model::{ListedDevice, ListedProduct},
    settings::Push,
    store::{DeviceLists, ListSize},
    ui::number::{counted, grouped},
};

/// Products that are read at most.
const MOST_PRODUCTS: usize = 10_000;

/// The platform, asked for its lists.
pub(super) struct Fleet {
    connection: Connection,
    questions: Questions,
}

/// A list that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadList {
    /// The devices that were found.
    pub(super) size: ListSize,
    /// What the platform says that it has.
    total: Option<u64>,
    /// Entries without a key.
    unreadable: u64,
    readings: u32,
    verdict: ReadingVerdict,
}

impl ReadList {
    /// Whether devices may be missing from it.
    pub(super) fn is_uncertain(&self) -> bool {
        self.verdict == ReadingVerdict::Uncertain
    }

    /// What is to be told of it.
    pub(super) fn remarks(&self, product_key: &str) -> Vec<String> {
        let ListSize { own, foreign } = self.size;
        let listed = own + foreign + self.unreadable;
        let mut remarks = Vec::new();
        if self.is_uncertain() {
            remarks.push(format!(
                "product {product_key}: the device list changed during each of {} readings; devices may be missing",
                self.readings
            ));
        } else if self.total != Some(listed) {
            let said = self.total.map_or_else(
                || "does not say how many there are".to_owned(),
                |total| format!("says that there are {}", grouped(total)),
            );
            remarks.push(format!(
                "product {product_key}: the platform lists {} and {said}; two readings agree",
                counted(listed, "device")
            ));
        }
        if foreign > 0 {
            remarks.push(format!(
                "product {product_key}: {} in its device list belong to another product and are left out",
                counted(foreign, "device")
            ));
        }
        if self.unreadable > 0 {
            remarks.push(format!(
                "product {product_key}: {} in its device list without a device key",
                counted(self.unreadable, "entry")
            ));
        }
        remarks
    }
}

impl Fleet {
    /// The fleet of this platform. Nothing is asked yet.
    pub(super) async fn new(push: &Push, interrupt: &Interrupt) -> Result<Self, Failure> {
        let connection = target::connect(push, &Budget::default(), Clock::start()).await?;
        let options = QuestionOptions {
            concurrency: 1,
            rate: push.pace.rate.per_second(),
            max_outage: push.recovery.max_outage,
        };
        Ok(Self {
            connection,
            questions: Questions::new(options, interrupt.stop()),
        })
    }

    /// Reads the device list of a product into `lists`, again and again until it holds still.
    pub(super) async fn read(
        &self,
        lists: &mut DeviceLists<'_>,
        product_key: &str,
    ) -> Result<ReadList, Failure> {
        let mut reading = Reading::default();
        loop {
            reading = reading.next();
            let unreadable = self.read_once(lists, product_key, &mut reading).await?;
            let difference = match reading.number {
                1 => None,
                number => Some(lists.difference(product_key, number).await?),
            };
            let verdict = reading.verdict(difference);
            match verdict {
                ReadingVerdict::Again => {
                    tracing::debug!(product_key, ?reading, ?difference, "the device list moved");
                    continue;
                }
                ReadingVerdict::Whole | ReadingVerdict::Steady => {
                    lists.keep_only(product_key, reading.number).await?;
                }
                // What any reading has met may be there.
                ReadingVerdict::Uncertain => {}
            }
            return Ok(ReadList {
                size: lists.size(product_key).await?,
                total: reading.total,
                unreadable,
                readings: reading.number,
                verdict,
            });
        }
    }

    /// Reads the list once; gives how many entries had no key.
    async fn read_once(
        &self,
        lists: &mut DeviceLists<'_>,
        product_key: &str,
        reading: &mut Reading,
    ) -> Result<u64, Failure> {
        let mut unreadable = 0;
        for page in 1.. {
            let query = DeviceQuery {
                product_key,
                device_key: None,
                page,
            };
            let platform = &self.connection.platform;
            let answer = self.questions.ask(async || platform.devices(query).await);
            let page = answer
                .await
                .map_err(stopped)?
                .map_err(|refusal| no_list(product_key, &refusal))?;
            unreadable += page.unreadable;
            let read = PageRead {
                // An entry without a key counts in `total`, and cannot be told from another one.
                entries: page.entries.len() as u64 + page.unreadable,
                new: lists
                    .note(product_key, reading.number, &page.entries)
                    .await?
                    + page.unreadable,
                total: page.total,
            };
            if !reading.takes_more(read) {
                break;
            }
        }
        Ok(unreadable)
    }

    /// The device of this key in a product, if the platform lists it when it is asked for it alone; nothing when it refuses to say.
    pub(super) async fn device(
        &self,
        product_key: &str,
        device_key: &str,
    ) -> Result<Option<ListedDevice>, Failure> {
        let query = DeviceQuery {
            product_key,
            device_key: Some(device_key),
            page: 1,
        };
        let platform = &self.connection.platform;
        let answer = self.questions.ask(async || platform.devices(query).await);
        let Ok(page) = answer.await.map_err(stopped)? else {
            return Ok(None);
        };
        Ok(page
            .entries
            .into_iter()
            .find(|device| device.device_key == device_key && device.product_key == product_key))
    }

    /// The products that the account sees, or the platform's refusal to tell them.
    pub(super) async fn products(&self) -> Result<Result<Vec<ListedProduct>, String>, Failure> {
        let mut products: Vec<ListedProduct> = Vec::new();
        let mut met = HashSet::new();
        let mut reading = Reading::default().next();
        for number in 1.. {
            let platform = &self.connection.platform;
            let answer = self.questions.ask(async || platform.products(number).await);
            let page = match answer.await.map_err(stopped)? {
                Ok(page) => page,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let entries = page.entries.len() as u64;
            let before = products.len();
            let mut is_new = |product: &ListedProduct| met.insert(product.product_key.clone());
            products.extend(page.entries.into_iter().filter(|product| is_new(product)));
            let read = PageRead {
                entries,
                new: (products.len() - before) as u64,
                total: page.total,
            };
            if !reading.takes_more(read) || products.len() >= MOST_PRODUCTS {
                break;
            }
        }
        Ok(Ok(products))
    }

    /// Ends it, and the simulator behind it.
    pub(super) async fn close(self) {
        if let Some(simulator) = self.connection.simulator {
            simulator.stop().await;
        }
    }
}

/// The failure of a command that asks and can ask no more.
fn stopped(stop: Stop) -> Failure {
    match stop {
        Stop::Refused { reason } => Failure::refused(anyhow!(reason)),
        Stop::Outage { reason } => Failure::stopped(anyhow!(
            "the platform does not answer: {reason}; run the same command again"
        )),
        _ => Failure::stopped(anyhow!(
            "stopped by a signal while device lists were read; nothing has been written or sent; run the same command again"
        )),
    }
}

fn no_list(product_key: &str, refusal: &str) -> Failure {
    Failure::usage(anyhow!(
        "the platform does not return the device list of product {product_key}: {refusal}; fleetpush doctor lists the products of your account"
    ))
}

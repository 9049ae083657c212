//! Which rows are copied: the tables, their columns, and the order in which both sides read them.

/// What is copied as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The rows of a run.
    Run {
        /// Its number.
        id: i64,
        /// Its tasks are the ids from here …
        first_task: i64,
        /// … up to but not including this one.
        end_task: i64,
    },
    /// What stands beside the runs. Runs of these numbers are not told as pruned, since they are still there.
    Beside {
        /// The numbers.
        kept: Vec<i64>,
    },
}

/// A table whose rows are copied.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// What SQLite reads in its place, where that is something else.
    in_sqlite: Option<&'static str>,
    /// Set apart by commas.
    pub(super) columns: &'static str,
    /// Which rows: the names in braces are what a part gives. One that it does not give is no SQL.
    rows: &'static str,
    /// The same order on both sides.
    order: &'static str,
}

impl Table {
    /// Reads the rows of a part on the server, in the order of both sides.
    pub(super) fn select(&self, part: &Part) -> String {
        self.select_from(self.name, part)
    }

    /// Reads the same rows of SQLite, in the same order.
    pub(super) fn select_in_sqlite(&self, part: &Part) -> String {
        self.select_from(self.in_sqlite.unwrap_or(self.name), part)
    }

    fn select_from(&self, from: &str, part: &Part) -> String {
        format!(
            "SELECT {} FROM {from} WHERE {} ORDER BY {}",
            self.columns,
            self.condition(part),
            self.order
        )
    }

    /// Deletes the rows of a part.
    pub(super) fn delete(&self, part: &Part) -> String {
        format!("DELETE FROM {} WHERE {}", self.name, self.condition(part))
    }

    fn condition(&self, part: &Part) -> String {
        match part {
            Part::Run {
                id,
                first_task,
                end_task,
            } => self
                .rows
                .replace("{run}", &id.to_string())
                .replace("{first}", &first_task.to_string())
                .replace("{end}", &end_task.to_string()),
            Part::Beside { kept } => {
                // No run has the number 0.
                let numbers = kept
                    .iter()
                    .fold("0".to_owned(), |list, number| format!("{list}, {number}"));
                self.rows.replace("{kept}", &numbers)
            }
        }
    }
}

/// The tables of a part.
pub(super) fn of(part: &Part) -> &'static [Table] {
    match part {
        Part::Run { .. } => RUN,
        Part::Beside { .. } => BESIDE,
    }
}

const TALLY: &str = "run_id, state, class, code, n";

const PAST: &str =
    "device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id";

const RUN: &[Table] = &[
    Table {
        name: "run",
        in_sqlite: None,
        columns: "id, name, manifest, manifest_sha256, defaults, base_url, identity, state, created_at, started_at, \
                  finished_at, tasks, first_task, end_task, next_task, ordered, chunk_limit, manifest_path, \
                  passed_size, limit_hints, pushed_at, account, paused_at, paused_by, cancelled_by, last_control, tags",
        rows: "id = {run}",
        order: "id",
    },
    Table {
        name: "payload",
        in_sqlite: None,
        columns: "id, run_id, digest, product_key, data, qos, is_cache, cache_time, is_cover, extend_para, accepted",
        rows: "run_id = {run}",
        order: "id",
    },
    Table {
        name: "called_service",
        in_sqlite: Some(
            "(SELECT p.run_id, s.payload_id, s.service, s.product_key FROM payload AS p JOIN called_service AS s ON s.payload_id = p.id)",
        ),
        columns: "run_id, payload_id, service, product_key",
        rows: "run_id = {run}",
        order: "payload_id, service IS NOT NULL, service, product_key",
    },
    Table {
        name: "task",
        in_sqlite: None,
        columns: "id, payload_id, line, device_key, labels, held",
        rows: "id >= {first} AND id < {end}",
        order: "id",
    },
    Table {
        name: "device_task",
        in_sqlite: None,
        columns: "run_id, device_key, task_id",
        rows: "run_id = {run}",
        order: "device_key, task_id",
    },
    Table {
        name: "follower",
        in_sqlite: None,
        columns: "previous_id, task_id",
        rows: "previous_id >= {first} AND previous_id < {end}",
        order: "previous_id",
    },
    Table {
        name: "bundle",
        in_sqlite: None,
        columns: "id, run_id, parent_request_id, devices, passed, refusals, suspect, of_size",
        rows: "run_id = {run}",
        order: "id",
    },
    Table {
        name: "request",
        in_sqlite: None,
        columns: "id, run_id, payload_id, bundle_id, first_task, end_task, devices, claimed_at, sent_at, finished_at, \
                  latency_ms, http_status, code, message, error, released",
        rows: "run_id = {run}",
        order: "id",
    },
    Table {
        name: "due",
        in_sqlite: None,
        columns: "task_id, run_id, payload_id, bundle_id, request_id, due_at, class, sends, attempts, throttles, \
                  snoozed_ms, offline_retries",
        rows: "task_id >= {first} AND task_id < {end}",
        order: "task_id",
    },
    Table {
        name: "attempt",
        in_sqlite: None,
        columns: "task_id, attempt, request_id, class, code, message, ticket",
        rows: "task_id >= {first} AND task_id < {end}",
        order: "task_id, attempt",
    },
    Table {
        name: "outcome",
        in_sqlite: None,
        columns: "task_id, state, class, code, message, ticket, request_id, attempts, finished_at",
        rows: "task_id >= {first} AND task_id < {end}",
        order: "task_id",
    },
    Table {
        name: "accepted_span",
        in_sqlite: None,
        columns: "first_task, end_task, request_id, code, message, ticket_bytes, tickets, finished_at",
        rows: "first_task >= {first} AND first_task < {end}",
        order: "first_task",
    },
    Table {
        name: "refusal",
        in_sqlite: None,
        columns: "run_id, payload_id, product_key, code, request_id, requests, devices, ended",
        rows: "run_id = {run}",
        order: "product_key, payload_id IS NOT NULL, payload_id",
    },
    Table {
        name: "tally",
        in_sqlite: None,
        columns: TALLY,
        rows: "run_id = {run}",
        order: "state, class, code",
    },
    Table {
        name: "excused",
        in_sqlite: None,
        columns: TALLY,
        rows: "run_id = {run}",
        order: "state, class, code",
    },
    Table {
        name: "canary",
        in_sqlite: None,
        columns: "run_id, asked, seed, devices, pause, chosen_at, passed_at, accepted, verdict, verify_ms, \
                  verify_level, proved_at, check_command, checked_at, expected_answers",
        rows: "run_id = {run}",
        order: "run_id",
    },
    Table {
        name: "delivery",
        in_sqlite: None,
        columns: "task_id, attempt, delivery, evidence, at, recorded_at",
        rows: "task_id >= {first} AND task_id < {end}",
        order: "task_id, attempt",
    },
    Table {
        name: "delivery_answer",
        in_sqlite: None,
        columns: "task_id, attempt, answer",
        rows: "task_id >= {first} AND task_id < {end}",
        order: "task_id, attempt",
    },
];

const BESIDE: &[Table] = &[
    Table {
        name: "owner",
        in_sqlite: None,
        columns: "id, mark",
        rows: "true",
        order: "id",
    },
    Table {
        name: "session",
        in_sqlite: None,
        columns: "id, owner, command, arguments, note, \"user\", host, pid, version, run_id, run_name, began_at, \
                  staging_ms, pushed_at, first_request, end_request, accepted_before, failed_before, in_doubt_before, \
                  ended_at, stop, reason, exit_code, seen_at, sent, sends, requests, accepted, failed, in_doubt, \
                  sending_ms, paused_ms, canary_ms",
        rows: "true",
        order: "id",
    },
    Table {
        name: "pause",
        in_sqlite: None,
        columns: "session_id, began_at, ended_at, reason",
        rows: "true",
        order: "session_id, began_at",
    },
    Table {
        name: "pruned_run",
        in_sqlite: None,
        columns: "id, name, base_url, identity, state, unsuccessful, finished_at, first_task, end_task, last_request, \
                  deleted, manifest, created_at, started_at, accepted, failed, in_doubt, skipped, pruned_at",
        rows: "id NOT IN ({kept})",
        order: "id",
    },
    Table {
        name: "past_payload",
        in_sqlite: None,
        columns: "id, digest, product_key, data, qos, is_cache, cache_time, is_cover, extend_para",
        rows: "true",
        order: "id",
    },
    Table {
        name: "device_past",
        in_sqlite: None,
        columns: PAST,
        rows: "true",
        order: "device_key, product_key, service",
    },
    Table {
        name: "device_past_before",
        in_sqlite: None,
        columns: PAST,
        rows: "true",
        order: "device_key, product_key, service",
    },
    Table {
        name: "device_throttle",
        in_sqlite: None,
        columns: "device_key, product_key, class, throttled_at, until",
        rows: "true",
        order: "device_key, product_key",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::{Reader, sample};

    /// What belongs to a machine or a file, and not to the results.
    const LEFT: [&str; 3] = ["_sqlx_migrations", "pace", "settled_inbox"];

    #[tokio::test]
    async fn every_column_of_every_table_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::empty(folder.path()).await;
        let mut reader = Reader::open(&path).await.unwrap();
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT s.name, c.name FROM sqlite_schema AS s CROSS JOIN pragma_table_info(s.name) AS c \
             WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )
        .fetch_all(&mut reader.connection)
        .await
        .unwrap();
        // The names of states and classes are part of the schema.
        let mut found: BTreeSet<(String, String)> = found
            .into_iter()
            .filter(|(table, column)| {
                !LEFT.contains(&table.as_str())
                    && !["class", "task_state"].contains(&table.as_str())
                    && (table.as_str(), column.as_str()) != ("owner", "needs_log")
            })
            .collect();
        let copied: BTreeSet<(String, String)> = RUN
            .iter()
            .chain(BESIDE)
            .flat_map(|table| {
                let name = table.name;
                table
                    .columns
                    .split(", ")
                    .map(move |column| (name.to_owned(), column.trim_matches('"').to_owned()))
            })
            .collect();
        // SQLite finds it by the payload.
        found.insert(("called_service".to_owned(), "run_id".to_owned()));
        assert_eq!(copied, found);
    }

    #[test]
    fn a_statement_names_the_rows_of_its_part() {
        let run = Part::Run {
            id: 3,
            first_task: 10,
            end_task: 20,
        };
        assert_eq!(
            RUN[5].select(&run),
            "SELECT previous_id, task_id FROM follower WHERE previous_id >= 10 AND previous_id < 20 ORDER BY previous_id"
        );
        assert_eq!(
            RUN[2].delete(&run),
            "DELETE FROM called_service WHERE run_id = 3"
        );
        let kept = Part::Beside { kept: vec![1, 2] };
        assert_eq!(
            BESIDE[3].delete(&kept),
            "DELETE FROM pruned_run WHERE id NOT IN (0, 1, 2)"
        );
        let none = Part::Beside { kept: Vec::new() };
        assert_eq!(
            BESIDE[3].delete(&none),
            "DELETE FROM pruned_run WHERE id NOT IN (0)"
        );
    }
}

//! The state machine of the pace alone, in virtual time, against each limit that the simulator has: with it a change of the law is judged
//! in a minute, by more cases and seeds than real time would allow.

mod scenarios;

use std::ops::Range;

use fleetpush::testing::{Played, Trial};

/// A figure of a push: its name, from what the pushes came to and what somebody gets who knows the limit, and its unit.
struct Column {
    name: &'static str,
    of: fn(&[Played], &Row) -> f64,
    percent: bool,
}

/// A trial, and the requests a second of somebody who knows the limit.
struct Row {
    name: String,
    trial: Trial,
    ideal: f64,
    seconds: f64,
}

/// Rows with the same figures.
struct Table {
    name: &'static str,
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// Whether to show what somebody gets who knows the limit and sends evenly.
    shows_known: bool,
    /// Which means are good enough; nothing is aimed at without.
    is_met: Option<fn(&[f64]) -> bool>,
}

impl Row {
    /// The share of the ideal that all pushes got together in a stretch of time.
    fn share(&self, played: &[Played], from: f64, to: f64) -> f64 {
        let accepted: f64 = played
            .iter()
            .map(|push| push.accepted_between(from, to))
            .sum();
        accepted / (to - from) / self.ideal
    }
}

/// Plays all rows whose names contain `only` with each of the seeds, and prints a table of the means, with the worst in brackets.
pub(crate) fn print(seeds: &Range<u64>, only: &str) {
    for table in scenarios::all() {
        print_table(&table, seeds, only);
    }
}

fn print_table(table: &Table, seeds: &Range<u64>, only: &str) {
    let rows: Vec<&Row> = table
        .rows
        .iter()
        .filter(|row| row.name.contains(only))
        .collect();
    if rows.is_empty() {
        return;
    }
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let known = if table.shows_known { " known |" } else { "" };
    println!(
        "| {} | {} |{known} said |\n|{}",
        table.name,
        names.join(" | "),
        "---|".repeat(names.len() + 2 + usize::from(table.shows_known))
    );
    let (mut sums, mut met) = (vec![0.0; names.len()], 0);
    for row in &rows {
        let played: Vec<Vec<Played>> = seeds
            .clone()
            .map(|seed| row.trial.play(row.seconds, seed))
            .collect();
        let mut means = Vec::new();
        let mut cells = Vec::new();
        for (column, sum) in table.columns.iter().zip(&mut sums) {
            let all: Vec<f64> = played
                .iter()
                .map(|pushes| (column.of)(pushes, row))
                .collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let worst = if column.percent { f64::max } else { f64::min };
            let worst = all.iter().copied().reduce(worst).unwrap_or(mean);
            *sum += if column.percent { mean } else { mean.min(1.0) };
            means.push(mean);
            cells.push(if column.percent {
                format!("{:.1} % ({:.1})", mean * 100.0, worst * 100.0)
            } else {
                format!("{mean:.2} ({worst:.2})")
            });
        }
        let is_met = table.is_met.is_some_and(|is_met| is_met(&means));
        met += u32::from(is_met);
        let mark = if table.is_met.is_some() && !is_met {
            " *"
        } else {
            ""
        };
        if table.shows_known {
            let known = row.trial.known_best(row.ideal, 30.0, seeds.start);
            cells.push(format!("{:.2}", known / row.ideal));
        }
        println!(
            "| {}{mark} | {} | {} |",
            row.name,
            cells.join(" | "),
            said(&played)
        );
    }
    let n = rows.len();
    let means: Vec<String> = sums
        .iter()
        .map(|sum| format!("{:.3}", sum / n as f64))
        .collect();
    println!("| mean of {n} | {} | |", means.join(" | "));
    if table.is_met.is_some() {
        println!("\n{met} of {n} as aimed at; the others are marked with *");
    }
    println!();
}

/// What the pushes say in the end that the platform takes, from the least to the most, and how many say so.
fn said(played: &[Vec<Played>]) -> String {
    let pushes = || played.iter().flatten();
    let n = pushes().count();
    let range = |found: Vec<f64>, unit: &str| {
        let least = found.iter().copied().reduce(f64::min)?;
        let most = found.iter().copied().reduce(f64::max)?;
        Some(format!(
            "{least:.1} to {most:.1}{unit} ({} of {n})",
            found.len()
        ))
    };
    let rates = pushes().filter_map(|push| push.found).collect();
    let in_flight = pushes().filter_map(|push| push.found_in_flight);
    let in_flight = in_flight.map(|requests| requests as f64).collect();
    let said: Vec<String> = [range(rates, "/s"), range(in_flight, " in flight")]
        .into_iter()
        .flatten()
        .collect();
    said.join(", ")
}

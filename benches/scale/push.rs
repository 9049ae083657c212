//! Pushes as fast as the platform answers: large requests, and one device in each.

use crate::{
    bench::{Bench, devices},
    pushes::{Pushes, at_chunk_1, at_chunk_100, note_cpu},
    table::{Reference, Target, Unit, row},
};

/// A million devices, a hundred in each request.
pub(crate) fn push(bench: &Bench) -> Result<(), String> {
    let pushes = at_chunk_100(bench)?;
    rows(bench, pushes, 200_000.0);
    let requests = pushes.devices.div_ceil(pushes.chunk_size) as f64;
    row(
        &format!(
            "CPU of fleetpush a request, chunk {}, staging included",
            pushes.chunk_size
        ),
        &pushes
            .samples(|push| push.cpu)
            .map(|cpu| cpu * 1e6 / requests),
        Unit::Microseconds,
        None,
        Target::None,
    );
    Ok(())
}

/// A hundred thousand devices, one in each request.
pub(crate) fn small(bench: &Bench) -> Result<(), String> {
    rows(bench, at_chunk_1(bench)?, 25_000.0);
    Ok(())
}

fn rows(bench: &Bench, pushes: &Pushes, target: f64) {
    let name = format!(
        "push, {}, chunk {}",
        devices(pushes.devices),
        pushes.chunk_size
    );
    let wall = pushes.samples(|push| push.wall);
    let references = [
        ("wrk, nothing stored", &pushes.requests_alone),
        ("wrk and .import", &pushes.requests_and_import),
    ];
    for (reference, samples) in references {
        let reference = Reference {
            name: reference,
            samples,
        };
        row(&name, &wall, Unit::Seconds, Some(&reference), Target::None);
    }
    row(
        &name,
        &pushes.devices_per_second(),
        Unit::DevicesPerSecond,
        None,
        Target::AtLeast(target),
    );
    note_cpu(bench, &name, &pushes.ours);
}

//! Messages that say what was not done, and what to do instead.

use crate::support::{Sim, Site, devices};

#[test]
fn what_is_asked_for_and_not_done_is_said() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(2));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    site.push(&sim, &["run", "fleet.csv", "--name", "other"])
        .expect(0)
        .says(&["this push already is run", "the name 'other' is not used"]);
    site.push(&sim, &["run", "fleet.csv", "--simulate"])
        .expect(2)
        .says(&["--simulate", "--base-url"]);
    site.run(&["results", "--device", "DK99999"])
        .expect(0)
        .says(&["no task of run", "matches the filter"]);
    site.run(&["check", "nosuch.csv"])
        .expect(2)
        .says(&["nosuch.csv: cannot be read", "check the path"]);
}

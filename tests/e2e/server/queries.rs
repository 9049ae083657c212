//! The queries of the documentation answer.

use super::{copy, made};
use crate::support::{Sim, Site, devices};

const PAGE: &str = include_str!("../../../docs/several-machines.md");

/// The statements that the page shows for the server.
fn statements() -> Vec<&'static str> {
    PAGE.split("<!-- on the server -->\n```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

#[test]
fn what_the_documentation_shows_can_be_asked() {
    let sim = Sim::some_offline();
    let site = Site::with(
        &devices(40)
            .replace("raw1\n", "raw1,site\n")
            .replace(",AA", ",AA,Oslo"),
    );
    site.push(&sim, &["run", "fleet.csv", "--name", "one"]);
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    let statements = statements();
    assert_eq!(statements.len(), 4);
    // A role of its own, since roles are the server's.
    let role = format!("analysts_{}", std::process::id());
    database.execute(&format!("CREATE ROLE {role}"));
    for statement in statements {
        database.execute(&statement.replace("analysts", &role));
    }
    let sites: Vec<String> = database.on(async |connection| {
        sqlx::query_scalar("SELECT DISTINCT labels::json ->> 'site' FROM fleetpush.results")
            .fetch_all(connection)
            .await
            .expect("the labels are JSON")
    });
    assert_eq!(sites, ["Oslo"]);
    database.execute(&format!("SET ROLE {role}; SELECT * FROM fleetpush.results; SELECT * FROM fleetpush.sessions; SELECT * FROM fleetpush.devices"));
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

//! What the README and the pages under `docs/` say is true of the program: tables and queries (`reference`), links, flags and examples
//! (`pages`), and the commands, which are run in their order (`tour`), those with other tools where these are installed (`tools`).

mod morning;
mod pages;
mod reference;
mod tools;
mod tour;

/// A page for people: its path from the root, and its text.
type Page = (&'static str, &'static str);

const README: Page = ("README.md", include_str!("../../README.md"));
const RESULTS_DATABASE: Page = (
    "docs/results-database.md",
    include_str!("../../docs/results-database.md"),
);

const OPERATIONS: Page = (
    "docs/operations.md",
    include_str!("../../docs/operations.md"),
);

/// The pages of user documentation. That none is forgotten is a test of `pages`.
const PAGES: [Page; 9] = [
    README,
    ("docs/manifest.md", include_str!("../../docs/manifest.md")),
    (
        "docs/scheduling.md",
        include_str!("../../docs/scheduling.md"),
    ),
    ("docs/pace.md", include_str!("../../docs/pace.md")),
    RESULTS_DATABASE,
    OPERATIONS,
    (
        "docs/several-machines.md",
        include_str!("../../docs/several-machines.md"),
    ),
    ("docs/delivery.md", include_str!("../../docs/delivery.md")),
    ("docs/simulator.md", include_str!("../../docs/simulator.md")),
];

/// A fenced block of a page.
struct Block {
    /// What stands behind the opening fence.
    language: &'static str,
    /// Its lines, without the indentation of the fence.
    text: String,
    /// The HTML comment on the line before the fence, without its marks: what a test has to know of the block.
    note: Option<&'static str>,
}

/// The fenced blocks of a page, in their order.
fn blocks(page: Page) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.1.lines();
    let mut before = "";
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            before = line;
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let mut text = String::new();
        for line in lines.by_ref().take_while(|line| line.trim() != "```") {
            text.push_str(line.get(indent..).unwrap_or_default());
            text.push('\n');
        }
        let note = before
            .trim()
            .strip_prefix("<!--")
            .and_then(|note| note.strip_suffix("-->"));
        blocks.push(Block {
            language,
            text,
            note: note.map(str::trim),
        });
    }
    blocks
}

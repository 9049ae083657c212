//! What people and programs see: data on stdout, messages and progress on stderr.

mod bar;
pub(crate) mod format;
pub(crate) mod inventory;
pub(crate) mod manifest;
pub(crate) mod monitor;
pub(crate) mod next;
mod non_blocking;
pub(crate) mod number;
pub(crate) mod out_file;
pub(crate) mod page;
pub(crate) mod preview;
pub(crate) mod printer;
pub(crate) mod progress;
pub(crate) mod redraw;
pub(crate) mod repeat;
pub(crate) mod report;
pub(crate) mod screen;
pub(crate) mod summary;
pub(crate) mod text;
pub(crate) mod timeline;

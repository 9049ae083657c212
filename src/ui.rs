//! What people and pipes see: stdout is data, stderr is progress and words.

mod bar;
pub mod format;
pub mod manifest;
pub mod monitor;
pub mod next;
mod non_blocking;
pub mod number;
pub mod out_file;
pub mod page;
pub mod printer;
pub mod progress;
pub mod redraw;
pub mod repeat;
pub mod report;
pub mod screen;
pub mod summary;
pub mod text;
pub mod timeline;

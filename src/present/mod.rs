//! How everything that people read is written: figures with units ([`text`]), foreign text
//! ([`escape`]), and tables ([`table`]), the same for pages, Markdown and terminals.

pub mod escape;
pub mod table;
pub mod text;

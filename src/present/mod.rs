//! How everything that people read is written: numbers with units and foreign text ([`text`]),
//! and tables ([`table`]), the same for pages, Markdown and terminals.

pub mod table;
pub mod text;

//! Reports: what the files say, what the command does, what a browser shows.

mod browser;
mod command;
mod honest;
mod page;
mod support;

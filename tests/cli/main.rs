//! The command line from outside: whole migrations, bad input, lists.

mod bad_input;
mod blocks;
mod clock;
mod command;
mod hostile;
mod hosts;
mod interrupted;
mod lists;
mod migration;
mod secrets;

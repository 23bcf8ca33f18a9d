//! The `migtax` command.

fn main() -> std::process::ExitCode {
    migtax::cli::main()
}

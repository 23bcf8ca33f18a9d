use clap::Parser;
#[derive(Parser)]
enum C { Gate(migtax::cli::gate::Args) }
fn main() -> std::process::ExitCode {
    let C::Gate(a) = C::parse();
    match migtax::cli::gate::run(a) { Ok(c) => c.into(), Err(e) => { eprintln!("migtax: {e}"); e.exit_code().into() } }
}

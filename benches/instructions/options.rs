//! What `cargo bench --bench instructions -- ...` takes.

/// How often each case is counted, if not told otherwise.
const REPETITIONS: usize = 2;
/// Options that take a value: criterion's, which `cargo bench -- ...` hands to every bench.
const VALUED: [&str; 15] = [
    "--color",
    "--format",
    "--output-format",
    "--plotting-backend",
    "--baseline",
    "--baseline-lenient",
    "--load-baseline",
    "--sample-size",
    "--warm-up-time",
    "--measurement-time",
    "--nresamples",
    "--noise-threshold",
    "--confidence-level",
    "--significance-level",
    "--profile-time",
];

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// Each case once, without valgrind.
    pub test: bool,
    /// Their names alone.
    pub list: bool,
    /// Name of the file, without `.json`.
    pub save: String,
    /// How often each case is counted.
    pub repetitions: usize,
    /// Cases whose names contain one of these; all if there is none.
    pub filters: Vec<String>,
}

impl Options {
    /// Reads the arguments; ignores those that are criterion's.
    ///
    /// # Errors
    /// In one line: the option, its value, what is allowed.
    pub fn parse(arguments: Vec<String>) -> Result<Options, String> {
        let mut options = Options {
            test: false,
            list: false,
            save: "latest".to_owned(),
            repetitions: REPETITIONS,
            filters: Vec::new(),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (flag, inline) = match argument.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut value = |what: &str| {
                let value = inline.clone().or_else(|| arguments.next());
                value.ok_or_else(|| format!("{flag}: {what} is missing"))
            };
            match flag.as_str() {
                "--test" => options.test = true,
                "--list" => options.list = true,
                // Criterion's word for the same.
                "--save" | "--save-baseline" => options.save = file_name(value("a name")?)?,
                "--repetitions" => {
                    let text = value("a number")?;
                    options.repetitions = match text.parse() {
                        Ok(number @ 1..=100) => number,
                        _ => return Err(format!("--repetitions = {text}: 1 to 100")),
                    };
                }
                valued if VALUED.contains(&valued) => drop(value("a value")?),
                other if other.starts_with('-') => {}
                _ => options.filters.push(flag),
            }
        }
        Ok(options)
    }

    /// Whether a case is to be counted.
    pub fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|f| name.contains(f.as_str()))
    }
}

/// A name that stays inside the folder.
fn file_name(name: String) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
        return Err(format!(
            "--save = {name}: letters, digits, -, _ and ., not first"
        ));
    }
    Ok(name)
}

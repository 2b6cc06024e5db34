//! The settings that a program runs with, for who operates it.
//!
//! Flags and environment are read once, into the program's configuration and into a list of what was
//! read. A secret is nowhere in that list, in no form: a setting is one if its flag hides the value
//! from the help (`hide_env_values`), or if its value is a URL with a user in it. What libraries read
//! from the environment by themselves (`RUST_LOG`, `OTEL_…`) is no flag, and not in the list.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Parser, builder};
use serde::Serialize;
use utoipa::ToSchema;

/// A setting, as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "ATTEMPT_TIMEOUT", "flag": "--attempt-timeout", "help": "How long one attempt may take",
    "source": "environment", "secret": false, "value": "30s", "default": "10s"
}))]
pub struct Setting {
    /// The environment variable.
    pub name: String,
    /// The flag, which wins over the variable.
    pub flag: String,
    /// What it is.
    pub help: String,
    /// Where the value comes from.
    pub source: Source,
    /// Whether value and default are left out.
    pub secret: bool,
    /// What is in force, as it was written; `null` where nothing is set, and of a secret.
    pub value: Option<String>,
    /// What would be in force if nothing was set; `null` if nothing, and of a secret.
    pub default: Option<String>,
}

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// There is none: nothing is set, and nothing by default.
    Unset,
    /// Nothing is set.
    Default,
    /// The environment variable.
    Environment,
    /// The flag.
    CommandLine,
}

/// Reads flags and environment of this process, or ends it with help or with what is wrong.
pub fn parse<C: Parser>() -> (C, Vec<Setting>) {
    parse_from(std::env::args_os())
}

/// Likewise, with those arguments; the first is the name of the program.
pub fn parse_from<C: Parser>(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> (C, Vec<Setting>) {
    let mut command = C::command();
    let matches = command.try_get_matches_from_mut(arguments);
    let matches = matches.unwrap_or_else(|error| error.exit());
    let config = C::from_arg_matches(&matches);
    let config = config.unwrap_or_else(|error| error.format(&mut command).exit());
    let settings = command.get_arguments().filter_map(|arg| of(arg, &matches));
    (config, settings.collect())
}

/// What has no variable, as `--help`, is no setting.
fn of(arg: &Arg, matches: &ArgMatches) -> Option<Setting> {
    let name = arg.get_env()?;
    let value = value(arg, matches);
    let default = joined(
        arg.get_default_values()
            .iter()
            .map(builder::OsStr::as_os_str),
    );
    let secret = arg.is_hide_env_values_set() || value.as_deref().is_some_and(names_a_user);
    let shown = |text: Option<String>| text.filter(|_| !secret);
    Some(Setting {
        name: name.to_string_lossy().into_owned(),
        flag: arg
            .get_long()
            .map_or_else(String::new, |flag| format!("--{flag}")),
        help: arg.get_help().map_or_else(String::new, ToString::to_string),
        source: source(matches.value_source(arg.get_id().as_str())),
        secret,
        value: shown(value),
        default: shown(default),
    })
}

/// As it was written; but a switch is on or off, however that was said.
fn value(arg: &Arg, matches: &ArgMatches) -> Option<String> {
    let id = arg.get_id().as_str();
    if let Ok(Some(switch)) = matches.try_get_one::<bool>(id) {
        return Some(switch.to_string());
    }
    matches.get_raw(id).and_then(joined)
}

fn joined<'a>(values: impl Iterator<Item = &'a OsStr>) -> Option<String> {
    let texts = values.map(|value| value.to_string_lossy());
    texts
        .map(String::from)
        .reduce(|all, text| format!("{all},{text}"))
}

fn source(source: Option<ValueSource>) -> Source {
    match source {
        None => Source::Unset,
        Some(ValueSource::EnvVariable) => Source::Environment,
        Some(ValueSource::CommandLine) => Source::CommandLine,
        Some(_) => Source::Default,
    }
}

/// Whether there is a URL with a user, and maybe a password, in it. What is none but looks like one
/// is better not shown.
fn names_a_user(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(_, rest)| rest.contains('@'))
}

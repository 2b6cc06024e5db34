//! What a program tells of its settings. It is tested from outside, as what `src` declares is held
//! against `.env.example`.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use common::instance::Instance;
use common::settings::{Setting, Source, parse_from};
use secrecy::SecretString;

const SECRET: &str = "hunter2";

/// A program.
#[derive(Debug, Parser)]
struct Program {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many
    /// there are.
    ///
    /// More of it than anybody wants to know in a list.
    #[arg(long, env = "COUNT", default_value_t = 3)]
    count: u32,
    /// What cargo sets
    #[arg(long, env = "CARGO_PKG_NAME", default_value = "nothing")]
    package: String,
    #[arg(long, env = "ON")]
    on: bool,
    #[arg(long, env = "OFF", value_parser = BoolishValueParser::new())]
    off: bool,
    #[arg(long, env = "NAMES", value_delimiter = ',')]
    names: Vec<String>,
    #[arg(long, env = "TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    #[arg(
        long,
        env = "URL",
        hide_env_values = true,
        default_value = "http://me:hunter2@here"
    )]
    url: SecretString,
    #[arg(long, env = "PROXY")]
    proxy: Option<String>,
    #[arg(long)]
    no_setting: bool,
    #[command(flatten)]
    more: More,
}

#[derive(Debug, Args)]
struct More {
    #[arg(
        long = "more-names",
        env = "MORE_NAMES",
        default_value = "a,b",
        value_delimiter = ','
    )]
    more: Vec<String>,
    /// What cargo sets too, and is secret here
    #[arg(long, env = "CARGO_PKG_VERSION", hide_env_values = true)]
    version_of: Option<SecretString>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve,
    Make {
        #[arg(long, env = "OF_A_COMMAND")]
        name: Option<String>,
    },
}

fn settings(flags: &[&str]) -> Vec<Setting> {
    parse_from::<Program>(["program"].iter().chain(flags)).1
}

fn told(flags: &[&str], name: &str) -> (Option<String>, Source, bool) {
    let mut settings = settings(flags).into_iter();
    let setting = settings.find(|setting| setting.name == name).unwrap();
    (setting.value, setting.source, setting.secret)
}

#[test]
fn each_setting_says_its_value_and_where_that_comes_from() {
    let some = |value: &str| Some(value.to_owned());
    let flags = ["--count=4", "--on", "--names=x,y"];
    for (flags, name, expected) in [
        (&[][..], "COUNT", (some("3"), Source::Default, false)),
        (&flags, "COUNT", (some("4"), Source::CommandLine, false)),
        (
            &[],
            "CARGO_PKG_NAME",
            (some("common"), Source::Environment, false),
        ),
        (&[], "ON", (some("false"), Source::Default, false)),
        (&flags, "ON", (some("true"), Source::CommandLine, false)),
        (&flags, "OFF", (some("false"), Source::Default, false)),
        (&[], "NAMES", (None, Source::Unset, false)),
        (&flags, "NAMES", (some("x,y"), Source::CommandLine, false)),
        (&[], "MORE_NAMES", (some("a,b"), Source::Default, false)),
        (&[], "TOKEN", (None, Source::Unset, true)),
        (&["--token=t"], "TOKEN", (None, Source::CommandLine, true)),
        (&[], "URL", (None, Source::Default, true)),
        (&[], "CARGO_PKG_VERSION", (None, Source::Environment, true)),
        (
            &["--proxy=http://here:1"],
            "PROXY",
            (some("http://here:1"), Source::CommandLine, false),
        ),
    ] {
        assert_eq!(told(flags, name), expected, "{name}");
    }
}

#[test]
fn a_setting_is_named_by_its_variable_and_said_in_a_line() {
    let settings = settings(&[]);
    let count = &settings[0];
    assert_eq!((&*count.name, &*count.flag), ("COUNT", "--count"));
    assert_eq!(count.help, "How many there are");
    assert_eq!(count.default.as_deref(), Some("3"));
    let names = settings.iter().map(|setting| &*setting.name);
    let all = [
        "COUNT",
        "CARGO_PKG_NAME",
        "ON",
        "OFF",
        "NAMES",
        "TOKEN",
        "URL",
        "PROXY",
        "MORE_NAMES",
        "CARGO_PKG_VERSION",
    ];
    assert!(names.eq(all), "{settings:?}");
}

#[test]
fn a_command_does_not_hide_the_settings_before_it() {
    for command in ["serve", "make"] {
        let flags = ["--count=5", command];
        assert_eq!(told(&flags, "COUNT").0.as_deref(), Some("5"));
        assert_eq!(settings(&flags).len(), settings(&[]).len());
    }
}

#[test]
fn no_secret_is_in_the_list_in_any_form() {
    let flags = [
        "--token=hunter2",
        "--url=postgres://me:hunter2@there",
        // Declared as no secret, and one nevertheless.
        "--proxy=http://me:hunter2@there",
    ];
    for flags in [&flags[..], &[]] {
        let settings = settings(flags);
        let json = serde_json::to_string(&settings).unwrap();
        for said in [
            json,
            format!("{settings:?}"),
            format!("{:?}", Instance::new("program", &settings)),
        ] {
            assert!(!said.contains(SECRET), "{said}");
            assert!(!said.contains(env!("CARGO_PKG_VERSION")), "{said}");
        }
    }
    let (value, source, secret) = told(&flags, "PROXY");
    assert_eq!((value, source, secret), (None, Source::CommandLine, true));
}

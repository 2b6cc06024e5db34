//! How connections to Kafka are secured: TLS, and SASL with a password.
//!
//! The settings are held against each other at start, and the files looked at, so that one that is
//! missing is named. No message shows the password.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rdkafka::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

/// How the brokers are spoken to, and who one is to them.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Kafka security")]
pub struct KafkaSecurity {
    /// How the brokers are spoken to.
    #[arg(
        long,
        env = "KAFKA_SECURITY_PROTOCOL",
        value_enum,
        ignore_case = true,
        default_value = "plaintext"
    )]
    pub kafka_security_protocol: Protocol,
    /// Trust the certificates in this PEM file, and not those the system trusts; only with TLS
    #[arg(long, env = "KAFKA_CA_FILE", value_name = "FILE")]
    pub kafka_ca_file: Option<PathBuf>,
    /// The certificate to show the brokers, a PEM file; only with TLS
    #[arg(long, env = "KAFKA_CERT_FILE", value_name = "FILE")]
    pub kafka_cert_file: Option<PathBuf>,
    /// The key of that certificate, a PEM file
    #[arg(long, env = "KAFKA_KEY_FILE", value_name = "FILE")]
    pub kafka_key_file: Option<PathBuf>,
    /// How the password is shown; only with SASL
    #[arg(
        long,
        env = "KAFKA_SASL_MECHANISM",
        value_enum,
        ignore_case = true,
        value_name = "MECHANISM"
    )]
    pub kafka_sasl_mechanism: Option<Mechanism>,
    /// Who logs in; only with SASL
    #[arg(long, env = "KAFKA_SASL_USERNAME", value_name = "NAME")]
    pub kafka_sasl_username: Option<String>,
    /// The password; only with SASL
    #[arg(
        long,
        env = "KAFKA_SASL_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub kafka_sasl_password: Option<SecretString>,
}

/// How brokers are spoken to, by Kafka's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Protocol {
    /// In the open, as nobody.
    #[default]
    Plaintext,
    /// By TLS.
    Ssl,
    /// In the open, after a login.
    SaslPlaintext,
    /// By TLS, after a login.
    SaslSsl,
}

/// How a password is shown to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mechanism {
    /// As it is.
    #[value(name = "PLAIN")]
    Plain,
    /// By proof of knowing it (RFC 7677).
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same, with the longer hash.
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Protocol {
    fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn has_login(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        })
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        })
    }
}

impl KafkaSecurity {
    /// Holds the settings against each other, and warns of a login that others can listen to.
    ///
    /// # Errors
    /// Names the two that do not fit, or the one whose file cannot be read.
    pub fn check(&self) -> anyhow::Result<()> {
        let protocol = self.kafka_security_protocol;
        for (name, path) in self.files() {
            let Some(path) = path else { continue };
            ensure!(
                protocol.has_tls(),
                "{name} is for TLS, and KAFKA_SECURITY_PROTOCOL is {protocol}: use ssl or sasl_ssl",
            );
            readable(name, path)?;
        }
        ensure!(
            self.kafka_cert_file.is_some() == self.kafka_key_file.is_some(),
            "KAFKA_CERT_FILE and KAFKA_KEY_FILE go together, and one of them is missing",
        );
        for (name, given) in self.login() {
            ensure!(
                given == protocol.has_login(),
                "{}",
                if given {
                    format!(
                        "{name} is for SASL, and KAFKA_SECURITY_PROTOCOL is {protocol}: use sasl_ssl"
                    )
                } else {
                    format!("KAFKA_SECURITY_PROTOCOL={protocol} needs {name}")
                }
            );
        }
        if protocol == Protocol::SaslPlaintext {
            tracing::warn!(
                "KAFKA_SECURITY_PROTOCOL=sasl_plaintext: who can listen to the network hears \
                 everything; with KAFKA_SASL_MECHANISM=PLAIN the password too"
            );
        }
        Ok(())
    }

    /// Tells a client's configuration of it.
    pub(super) fn apply(&self, config: &mut ClientConfig) {
        config.set(
            "security.protocol",
            self.kafka_security_protocol.to_string(),
        );
        for (name, path) in [
            ("ssl.ca.location", &self.kafka_ca_file),
            ("ssl.certificate.location", &self.kafka_cert_file),
            ("ssl.key.location", &self.kafka_key_file),
        ] {
            if let Some(path) = path {
                config.set(name, path.to_string_lossy());
            }
        }
        if let Some(mechanism) = self.kafka_sasl_mechanism {
            config.set("sasl.mechanism", mechanism.to_string());
        }
        if let Some(name) = &self.kafka_sasl_username {
            config.set("sasl.username", name);
        }
        if let Some(password) = &self.kafka_sasl_password {
            config.set("sasl.password", password.expose_secret());
        }
    }

    fn files(&self) -> [(&'static str, Option<&Path>); 3] {
        [
            ("KAFKA_CA_FILE", self.kafka_ca_file.as_deref()),
            ("KAFKA_CERT_FILE", self.kafka_cert_file.as_deref()),
            ("KAFKA_KEY_FILE", self.kafka_key_file.as_deref()),
        ]
    }

    /// What a login is made of, and whether it is given. Something empty is not.
    fn login(&self) -> [(&'static str, bool); 3] {
        let name = self.kafka_sasl_username.as_deref();
        let password = self.kafka_sasl_password.as_ref();
        [
            ("KAFKA_SASL_MECHANISM", self.kafka_sasl_mechanism.is_some()),
            (
                "KAFKA_SASL_USERNAME",
                name.is_some_and(|name| !name.is_empty()),
            ),
            (
                "KAFKA_SASL_PASSWORD",
                password.is_some_and(|password| !password.expose_secret().is_empty()),
            ),
        ]
    }
}

fn readable(name: &str, path: &Path) -> anyhow::Result<()> {
    let opened = File::open(path).map(drop);
    opened.with_context(|| format!("reading {name} ({})", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        security: KafkaSecurity,
    }

    const THIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    const NAME: &str = "--kafka-sasl-username=hunter";
    const PASSWORD: &str = "--kafka-sasl-password=hunter2";
    const PLAIN: &str = "--kafka-sasl-mechanism=plain";

    fn security(flags: &[&str]) -> KafkaSecurity {
        let file = flags.iter().map(|flag| flag.replace("FILE", THIS));
        Program::parse_from(std::iter::once("program".into()).chain(file)).security
    }

    fn protocol(name: &str) -> String {
        format!("--kafka-security-protocol={name}")
    }

    #[test]
    fn what_goes_together_is_taken() {
        for (name, flags) in [
            ("plaintext", &[][..]),
            ("ssl", &[]),
            ("SSL", &["--kafka-ca-file=FILE"]),
            ("ssl", &["--kafka-cert-file=FILE", "--kafka-key-file=FILE"]),
            ("sasl_plaintext", &[PLAIN, NAME, PASSWORD]),
            ("SASL_SSL", &[PLAIN, NAME, PASSWORD, "--kafka-ca-file=FILE"]),
        ] {
            let protocol = protocol(name);
            let flags = [flags, &[&*protocol]].concat();
            security(&flags).check().unwrap();
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_both_named_and_the_password_is_not_shown() {
        const PROTOCOL: &str = "KAFKA_SECURITY_PROTOCOL";
        for (name, flags, names) in [
            (
                "plaintext",
                &["--kafka-ca-file=FILE"][..],
                [PROTOCOL, "KAFKA_CA_FILE"],
            ),
            ("plaintext", &[PASSWORD], [PROTOCOL, "KAFKA_SASL_PASSWORD"]),
            ("ssl", &[PLAIN], [PROTOCOL, "KAFKA_SASL_MECHANISM"]),
            ("ssl", &[NAME], [PROTOCOL, "KAFKA_SASL_USERNAME"]),
            (
                "ssl",
                &["--kafka-cert-file=FILE"],
                ["KAFKA_CERT_FILE", "KAFKA_KEY_FILE"],
            ),
            (
                "ssl",
                &["--kafka-key-file=FILE"],
                ["KAFKA_CERT_FILE", "KAFKA_KEY_FILE"],
            ),
            (
                "ssl",
                &["--kafka-ca-file=/none"],
                ["KAFKA_CA_FILE", "/none"],
            ),
            (
                "sasl_ssl",
                &[PLAIN, NAME],
                [PROTOCOL, "KAFKA_SASL_PASSWORD"],
            ),
            (
                "sasl_ssl",
                &[PLAIN, PASSWORD],
                [PROTOCOL, "KAFKA_SASL_USERNAME"],
            ),
            (
                "sasl_ssl",
                &[NAME, PASSWORD],
                [PROTOCOL, "KAFKA_SASL_MECHANISM"],
            ),
            (
                "sasl_ssl",
                &[PLAIN, PASSWORD, "--kafka-sasl-username="],
                [PROTOCOL, "KAFKA_SASL_USERNAME"],
            ),
            (
                "sasl_plaintext",
                &[PLAIN, NAME, PASSWORD, "--kafka-ca-file=FILE"],
                [PROTOCOL, "KAFKA_CA_FILE"],
            ),
        ] {
            let protocol = protocol(name);
            let flags = [flags, &[&*protocol]].concat();
            let error = security(&flags).check().unwrap_err().to_string();
            assert!(names.iter().all(|name| error.contains(name)), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_configuration_does_not_print_the_password() {
        let security = security(&[&protocol("sasl_ssl"), PLAIN, NAME, PASSWORD]);
        let mut config = ClientConfig::new();
        security.apply(&mut config);
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        assert!(!format!("{security:?} {config:?}").contains("hunter2"));
    }
}

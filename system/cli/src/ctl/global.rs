//! The flags that every command takes, and the client that they describe.
//!
//! Each flag is also an environment variable: `--dial-timeout` is `ETCDCTL_DIAL_TIMEOUT`. Where both are given the flag
//! wins (etcdctl refuses). Without `--endpoints` the endpoints are those of the cluster that `quorate up` describes in
//! `quorate-data/cluster.json`, if there is one here, else etcd's default.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use clap::{ArgAction, Args};
use quorate_client::{Client, Credentials, Fence, Options, Tls};

use super::failure::{BAD_ARGUMENTS, BAD_CONNECTION, Failure};
use super::output::{Format, Output};
use super::units::parse_duration;

/// Where `quorate up` describes the cluster that it runs.
const CLUSTER_FILE: &str = "quorate-data/cluster.json";

/// The endpoint of a cluster that nobody described.
const DEFAULT_ENDPOINT: &str = "127.0.0.1:2379";

/// Longest time for one command, unless the flag says otherwise.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// Flags that apply to all commands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Global {
    /// Where the members listen for clients [default: those in quorate-data/cluster.json, else 127.0.0.1:2379]
    #[arg(long, global = true, env = "ETCDCTL_ENDPOINTS", value_delimiter = ',', hide_env = true)]
    endpoints: Vec<String>,
    /// The output format: simple, fields, json, protobuf or table
    #[arg(
        long,
        short = 'w',
        global = true,
        env = "ETCDCTL_WRITE_OUT",
        default_value = "simple",
        hide_env = true
    )]
    write_out: String,
    /// Print keys, values and ids in hexadecimal
    #[arg(long, global = true, env = "ETCDCTL_HEX", hide_env = true)]
    hex: bool,
    /// Longest time for a connection to come about
    #[arg(long, global = true, env = "ETCDCTL_DIAL_TIMEOUT", default_value = "2s", value_parser = parse_duration, hide_env = true)]
    dial_timeout: Duration,
    /// Longest time for a short command [default: 5s]
    #[arg(long, global = true, env = "ETCDCTL_COMMAND_TIMEOUT", value_parser = parse_duration, hide_env = true)]
    command_timeout: Option<Duration>,
    /// Probe a connection after this much silence; less than 10s counts as 10s
    #[arg(long, global = true, env = "ETCDCTL_KEEPALIVE_TIME", default_value = "10s", value_parser = parse_duration, hide_env = true)]
    keepalive_time: Duration,
    /// Give a connection up when a probe has no answer for this long
    #[arg(long, global = true, env = "ETCDCTL_KEEPALIVE_TIMEOUT", default_value = "6s", value_parser = parse_duration, hide_env = true)]
    keepalive_timeout: Duration,
    /// Most bytes of a request [0: 2 MiB]
    #[arg(
        long,
        global = true,
        env = "ETCDCTL_MAX_REQUEST_BYTES",
        default_value = "0",
        hide_env = true
    )]
    max_request_bytes: usize,
    /// Most bytes of an answer [0: no limit]
    #[arg(
        long,
        global = true,
        env = "ETCDCTL_MAX_RECV_BYTES",
        default_value = "0",
        hide_env = true
    )]
    max_recv_bytes: usize,
    /// Who to be: name:password
    #[arg(long, global = true, env = "ETCDCTL_USER", hide_env = true)]
    user: Option<String>,
    /// The password, if --user does not contain it
    #[arg(long, global = true, env = "ETCDCTL_PASSWORD", hide_env = true)]
    password: Option<String>,
    /// A token to send instead of a name and a password
    #[arg(long, global = true, env = "ETCDCTL_AUTH_JWT_TOKEN", hide_env = true)]
    auth_jwt_token: Option<String>,
    /// Locks held, as LOCK:TOKEN: sent with every request, for guarded keys (set by `quorate lock` for its command)
    #[arg(long, global = true, env = "QUORATE_FENCE", hide_env = true)]
    fence: Vec<String>,
    /// Accepted for etcdctl's sake; this client keeps no debug log
    #[arg(long, global = true, env = "ETCDCTL_DEBUG", hide_env = true)]
    debug: bool,
    #[command(flatten)]
    security: Security,
}

/// Whom to believe and who to be; and flags of etcdctl that need DNS, which this client does not ask: using one of those
/// is an error, never ignored.
#[derive(Debug, Clone, Args)]
struct Security {
    /// Who may vouch for the members: a bundle of authorities in PEM [default: the system's]
    #[arg(long, global = true, env = "ETCDCTL_CACERT", hide_env = true)]
    cacert: Option<String>,
    /// The client's certificate, in PEM
    #[arg(long, global = true, env = "ETCDCTL_CERT", hide_env = true)]
    cert: Option<String>,
    /// The key of the client's certificate
    #[arg(long, global = true, env = "ETCDCTL_KEY", hide_env = true)]
    key: Option<String>,
    /// Believe whoever answers (for trying things out)
    #[arg(long, global = true, env = "ETCDCTL_INSECURE_SKIP_TLS_VERIFY", hide_env = true)]
    insecure_skip_tls_verify: bool,
    /// Connect without TLS to endpoints without a scheme, unless another flag is about TLS
    #[arg(long, global = true, env = "ETCDCTL_INSECURE_TRANSPORT", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "true", default_missing_value = "true", hide_env = true)]
    insecure_transport: bool,
    /// Not supported yet: the domain whose SRV records name the endpoints
    #[arg(long, short = 'd', global = true, env = "ETCDCTL_DISCOVERY_SRV", hide_env = true)]
    discovery_srv: Option<String>,
    /// Not supported yet: the service name to ask for
    #[arg(long, global = true, env = "ETCDCTL_DISCOVERY_SRV_NAME", hide_env = true)]
    discovery_srv_name: Option<String>,
    /// Accept SRV records without TLS; means nothing without --discovery-srv
    #[arg(long, global = true, env = "ETCDCTL_INSECURE_DISCOVERY", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "true", default_missing_value = "true", hide_env = true)]
    insecure_discovery: bool,
}

/// A value that is there and says something.
fn given(value: &Option<String>) -> Option<&String> {
    value.as_ref().filter(|value| !value.is_empty())
}

impl Security {
    /// The first flag that asks for something this client cannot do.
    fn unsupported(&self) -> Option<&'static str> {
        [
            ("--discovery-srv", &self.discovery_srv),
            ("--discovery-srv-name", &self.discovery_srv_name),
        ]
        .into_iter()
        .find_map(|(name, value)| given(value).map(|_| name))
    }

    /// How to speak TLS, if any flag is about it.
    fn tls(&self) -> Result<Option<Tls>, Failure> {
        let identity = match (given(&self.cert), given(&self.key)) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                let why = "--cert and --key belong together: one of them is missing";
                return Err(Failure::arguments(why.to_owned()));
            }
        };
        let trusted = given(&self.cacert).map(Into::into);
        let skip_verify = self.insecure_skip_tls_verify;
        let is_asked = trusted.is_some() || identity.is_some() || !self.insecure_transport;
        let tls = Tls { trusted, identity, skip_verify };
        Ok((is_asked || skip_verify).then_some(tls))
    }
}

impl Global {
    /// The endpoints to talk to.
    ///
    /// # Errors
    /// The description of the local cluster exists and cannot be read.
    pub fn endpoints(&self) -> Result<Vec<String>, Failure> {
        if self.endpoints_given() {
            let endpoints = self.endpoints.iter().map(|endpoint| endpoint.trim().to_owned());
            let endpoints: Vec<String> = endpoints.collect();
            if endpoints.iter().all(String::is_empty) {
                let message = "etcdclient: no available endpoints; --endpoints names none";
                return Err(Failure::new(BAD_CONNECTION, message));
            }
            return Ok(endpoints);
        }
        let described = endpoints_of_file(Path::new(CLUSTER_FILE))?;
        Ok(described.unwrap_or_else(|| vec![DEFAULT_ENDPOINT.to_owned()]))
    }

    /// Whether the user named endpoints.
    pub fn endpoints_given(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// The time that the user allowed for a command, if any.
    pub fn command_timeout(&self) -> Option<Duration> {
        self.command_timeout
    }

    /// A client of all endpoints.
    ///
    /// # Errors
    /// Flags that cannot work; endpoints that cannot be read.
    pub fn client(&self) -> Result<Client, Failure> {
        let timeout = self.command_timeout.unwrap_or(COMMAND_TIMEOUT);
        self.client_with_timeout(Some(timeout))
    }

    /// The same, with another limit for each call.
    ///
    /// # Errors
    /// As [`Global::client`].
    pub fn client_with_timeout(&self, timeout: Option<Duration>) -> Result<Client, Failure> {
        if let Some(flag) = self.security.unsupported() {
            return Err(Failure::arguments(format!("{flag} is not supported yet")));
        }
        let or = |value: usize, default: usize| if value == 0 { default } else { value };
        let defaults = Options::default();
        let options = Options {
            endpoints: self.endpoints()?,
            dial_timeout: self.dial_timeout,
            request_timeout: timeout,
            keepalive_time: self.keepalive_time,
            keepalive_timeout: self.keepalive_timeout,
            max_request_bytes: or(self.max_request_bytes, defaults.max_request_bytes),
            max_answer_bytes: or(self.max_recv_bytes, defaults.max_answer_bytes),
            credentials: self.credentials()?,
            tls: self.security.tls()?,
            fences: self.fences()?,
        };
        Client::new(options).map_err(|error| Failure::call(BAD_ARGUMENTS, &error))
    }

    /// The output in the format asked for.
    ///
    /// # Errors
    /// There is no such format.
    pub fn output(&self) -> Result<Output, Failure> {
        Ok(Output::new(Format::parse(&self.write_out)?, self.hex))
    }

    fn fences(&self) -> Result<Vec<Fence>, Failure> {
        let values = self.fence.iter().filter(|value| !value.is_empty());
        let fences = values.map(|value| Fence::parse(value)).collect::<Result<Vec<_>, _>>();
        Ok(fences.map_err(|error| Failure::call(BAD_ARGUMENTS, &error))?.concat())
    }

    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        if let Some(token) = self.auth_jwt_token.as_ref().filter(|token| !token.is_empty()) {
            return Ok(Some(Credentials::Token(token.clone())));
        }
        let Some(user) = self.user.as_ref().filter(|user| !user.is_empty()) else {
            return Ok(None);
        };
        let (name, password) = match (&self.password, user.split_once(':')) {
            (Some(password), _) if !password.is_empty() => (user.clone(), password.clone()),
            (_, Some((name, password))) => (name.to_owned(), password.to_owned()),
            (_, None) => {
                if !std::io::stdin().is_terminal() {
                    let way_out = "write --user name:password, or set ETCDCTL_PASSWORD";
                    let message = format!("no password for user {user}: {way_out}");
                    return Err(Failure::arguments(message));
                }
                (user.clone(), super::password::ask("Password: ")?)
            }
        };
        Ok(Some(Credentials::Password { name, password }))
    }
}

/// The client addresses in a cluster description; `None` if there is no such file.
fn endpoints_of_file(path: &Path) -> Result<Option<Vec<String>>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error.to_string())),
    };
    let description: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| unreadable(path, &error.to_string()))?;
    let members = description["members"].as_array().into_iter().flatten();
    let endpoints: Option<Vec<String>> =
        members.map(|member| member["client_url"].as_str().map(str::to_owned)).collect();
    match endpoints {
        Some(endpoints) if !endpoints.is_empty() => Ok(Some(endpoints)),
        _ => Err(unreadable(path, "it names no members with a client_url")),
    }
}

fn unreadable(path: &Path, reason: &str) -> Failure {
    let path = path.display();
    Failure::arguments(format!("{path}: {reason}; name the endpoints with --endpoints instead"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        global: Global,
    }

    fn parse(line: &str) -> Global {
        Line::try_parse_from(line.split(' ')).expect(line).global
    }

    #[test]
    fn endpoints_are_a_list() {
        let global = Line::try_parse_from(["x", "--endpoints", "a:1, http://b:2"]).expect("fine");
        assert_eq!(global.global.endpoints().expect("given"), ["a:1", "http://b:2"]);
        let none = Line::try_parse_from(["x", "--endpoints", ""]).expect("fine").global;
        assert_eq!(none.endpoints().expect_err("none").code, 2, "etcdctl's code");
    }

    #[tokio::test]
    async fn a_security_flag_is_never_ignored() {
        for (flag, part) in [
            ("--cacert=no/such/file", "no/such/file"),
            ("--cert=x", "--cert and --key belong together"),
            ("-d x", "--discovery-srv is not supported"),
        ] {
            let failure = parse(&format!("x --endpoints a:1 {flag}")).client().expect_err(flag);
            assert_eq!(failure.code, BAD_ARGUMENTS);
            let message = failure.message.expect("said");
            assert!(message.contains(part), "{flag}: {message}");
        }
        assert!(parse("x --endpoints a:1 --insecure-transport").client().is_ok());
    }

    #[test]
    fn a_user_needs_a_password() {
        assert!(parse("x --user root").credentials().is_err());
        let Ok(Some(Credentials::Password { name, password })) =
            parse("x --user root:a:b").credentials()
        else {
            panic!("a name and a password");
        };
        assert_eq!((name.as_str(), password.as_str()), ("root", "a:b"));
        assert!(parse("x --user root --password p").credentials().expect("fine").is_some());
    }

    #[test]
    fn a_cluster_description_names_the_endpoints() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("cluster.json");
        assert_eq!(endpoints_of_file(&path).expect("no file is no error"), None);
        let text = r#"{"version":1,"members":[{"name":"n1","client_url":"http://127.0.0.1:1"}]}"#;
        std::fs::write(&path, text).expect("write");
        let endpoints = endpoints_of_file(&path).expect("readable").expect("there");
        assert_eq!(endpoints, ["http://127.0.0.1:1"]);
        for bad in ["{", r#"{"members":[]}"#, r#"{"members":[{"name":"n1"}]}"#] {
            std::fs::write(&path, bad).expect("write");
            let failure = endpoints_of_file(&path).expect_err(bad);
            assert!(failure.message.expect("said").contains("--endpoints"));
        }
    }
}

//! What the value of a flag may look like, and how it is read.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::table::Kind;

/// Checks a value against its kind; the error says what is expected.
pub fn check(kind: Kind, value: &str) -> Result<(), String> {
    let good = match kind {
        Kind::Text | Kind::Path => true,
        Kind::Name => is_name(value),
        Kind::Bool => boolean(value).is_some(),
        Kind::Count(least, most) => value.parse().is_ok_and(|n: u64| (least..=most).contains(&n)),
        Kind::Signed => value.parse::<i64>().is_ok(),
        Kind::Milliseconds => value.parse().is_ok_and(|n: u32| n > 0),
        Kind::Duration => duration(value).is_some(),
        Kind::Urls => return urls(value).try_for_each(check_url),
        Kind::PeerUrls => return urls(value).try_for_each(|url| host_and_port(url).map(|_| ())),
        Kind::Listen => return urls(value).try_for_each(check_listen_url),
        Kind::Members => return members(value).map(|_| ()),
        Kind::Routes => return routes(value).map(|_| ()),
        Kind::Choice(words) => words.contains(&value),
    };
    if good { Ok(()) } else { Err(expectation(kind)) }
}

/// What a value of this kind looks like.
pub fn expectation(kind: Kind) -> String {
    match kind {
        Kind::Text => "expected a text".to_owned(),
        Kind::Name => {
            "expected a name without spaces, commas and equals signs, such as n1".to_owned()
        }
        Kind::Path => "expected a path".to_owned(),
        Kind::Bool => "expected true or false".to_owned(),
        Kind::Count(least, most) if most == u64::MAX => {
            format!("expected a whole number, at least {least}")
        }
        Kind::Count(least, most) => format!("expected a whole number from {least} to {most}"),
        Kind::Signed => "expected a whole number".to_owned(),
        Kind::Milliseconds => {
            "expected a number of milliseconds, at least 1, such as 100".to_owned()
        }
        Kind::Duration => {
            "expected a duration with its unit, such as 300ms, 10s, 5m or 2h".to_owned()
        }
        Kind::Urls | Kind::PeerUrls | Kind::Listen => {
            "expected URLs with commas between them, such as http://127.0.0.1:2379".to_owned()
        }
        Kind::Members => "expected name=URL pairs with commas between them, such as \
                          n1=http://127.0.0.1:2380"
            .to_owned(),
        Kind::Routes => "expected name=host:port, such as n2=127.0.0.1:9000".to_owned(),
        Kind::Choice(words) => {
            let words: Vec<_> = words.iter().filter(|word| !word.is_empty()).copied().collect();
            format!("expected {}", words.join(" or "))
        }
    }
}

fn is_name(value: &str) -> bool {
    let splits = |c: char| c.is_whitespace() || c.is_control() || ",=".contains(c);
    !value.is_empty() && !value.contains(splits)
}

/// Reads what Go takes for a boolean.
pub fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads a Go duration that is not negative: `1h15m`, `1.5s`, `0`.
pub fn duration(value: &str) -> Option<Duration> {
    if value == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = value.strip_prefix('+').unwrap_or(value);
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        rest = &rest[end..];
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
    }
    (!value.is_empty()).then_some(total)
}

/// The URLs of a list; an empty list has none.
pub fn urls(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|url| !url.is_empty())
}

/// Whether what is said at a URL is secured.
pub fn is_secure(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("unixs://")
}

/// Whether a URL is a socket's file on this machine.
pub fn is_unix(url: &str) -> bool {
    url.starts_with("unix://") || url.starts_with("unixs://")
}

/// The host and port of a URL; the error says what is wrong with it.
pub fn host_and_port(url: &str) -> Result<(&str, u16), String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(format!("{url:?} has no scheme; expected http://host:port"));
    };
    match scheme {
        "http" | "https" => {}
        "unix" | "unixs" => {
            return Err(format!(
                "{url:?} is a unix socket, which only clients on one machine can use; expected \
                 http://host:port"
            ));
        }
        _ => return Err(format!("{url:?} has an unknown scheme; expected http://host:port")),
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('/') {
        return Err(format!("{url:?} has a path; expected http://host:port"));
    }
    split_port(authority)
        .ok_or_else(|| format!("{url:?} needs a host and a port; expected http://host:port"))
}

/// `host:port`, the host in brackets if it has colons itself.
fn split_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (host.contains(':') && !bracketed) {
        return None;
    }
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((host, port))
}

fn check_url(url: &str) -> Result<(), String> {
    if is_unix(url) { check_unix(url) } else { host_and_port(url).map(|_| ()) }
}

fn check_unix(url: &str) -> Result<(), String> {
    let path = url.split_once("://").map_or("", |(_, path)| path);
    match path {
        "" => Err(format!("{url:?} names no file; expected unix:///path/to/socket")),
        _ => Ok(()),
    }
}

/// A name could mean another interface tomorrow, so listening takes addresses alone.
fn check_listen_url(url: &str) -> Result<(), String> {
    if is_unix(url) {
        return check_unix(url);
    }
    let (host, _) = host_and_port(url)?;
    let address = host.trim_start_matches('[').trim_end_matches(']');
    if host == "localhost" || address.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(format!("{url:?} cannot be listened on; expected an IP address or localhost as its host"))
}

/// The members of an initial cluster, each with its URLs, in the order of their first mention.
pub fn members(list: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut members: Vec<(String, Vec<String>)> = Vec::new();
    for entry in urls(list) {
        let Some((name, url)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(format!("{entry:?} has no name; {}", expectation(Kind::Members)));
        };
        host_and_port(url)?;
        if members.iter().any(|(_, urls)| urls.iter().any(|known| known == url)) {
            return Err(format!("{url:?} occurs twice; each member has URLs of its own"));
        }
        match members.iter_mut().find(|(known, _)| known == name) {
            Some((_, urls)) => urls.push(url.to_owned()),
            None => members.push((name.to_owned(), vec![url.to_owned()])),
        }
    }
    Ok(members)
}

/// The routes to peers, `(name, host:port)`.
pub fn routes(list: &str) -> Result<Vec<(String, String)>, String> {
    let mut routes = Vec::new();
    for entry in urls(list) {
        let route = entry.split_once('=').filter(|(name, address)| {
            !name.is_empty()
                && (split_port(address).is_some() || address.parse::<SocketAddr>().is_ok())
        });
        let Some((name, address)) = route else {
            return Err(format!("{entry:?} is not a route; {}", expectation(Kind::Routes)));
        };
        routes.push((name.to_owned(), address.to_owned()));
    }
    Ok(routes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let cases = [
            ("0", 0.0),
            ("0s", 0.0),
            ("5s", 5.0),
            ("300ms", 0.3),
            ("1h15m30.5s", 4530.5),
            ("2h", 7200.0),
            ("+1m", 60.0),
            ("100us", 1e-4),
            ("1000000000ns", 1.0),
        ];
        for (text, seconds) in cases {
            assert_eq!(duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "5", "s", "5 s", "-5s", "5d", "1.2.3s", "5s5", "1e3s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn urls_need_a_scheme_a_host_and_a_port() {
        for good in
            ["http://10.0.0.1:2379", "http://a.example:1", "http://[::1]:2379", "http://a:1/"]
        {
            assert_eq!(check(Kind::Urls, good), Ok(()), "{good}");
        }
        for bad in [
            "10.0.0.1:2379",
            "http://10.0.0.1",
            "http://:2379",
            "http://a:0",
            "http://a:99999",
            "http://a:1/b",
            "ftp://a:1",
        ] {
            let error = check(Kind::Urls, bad).unwrap_err();
            assert!(error.contains(bad) && error.contains("expected http://host:port"), "{error}");
        }
        assert_eq!(check(Kind::Urls, "https://a:1"), Ok(()));
        assert_eq!(check(Kind::Listen, "unix:///run/q.sock,unixs://q.sock"), Ok(()));
        assert!(check(Kind::Listen, "unix://").unwrap_err().contains("names no file"));
        assert!(check(Kind::PeerUrls, "http://a:1,unix:///q").unwrap_err().contains("unix socket"));
        assert!(check(Kind::Members, "a=unix:///q").unwrap_err().contains("unix socket"));
        assert_eq!(check(Kind::Urls, ""), Ok(()));
        assert!(check(Kind::Listen, "http://a.example:1").unwrap_err().contains("IP address"));
        assert_eq!(check(Kind::Listen, "http://localhost:1,http://[::]:2"), Ok(()));
    }

    #[test]
    fn a_cluster_is_a_list_of_named_urls() {
        let members = members("a=http://h:1,b=http://h:2,a=http://h:3").unwrap();
        assert_eq!(
            members[0],
            ("a".to_owned(), vec!["http://h:1".to_owned(), "http://h:3".to_owned()])
        );
        assert_eq!(members.len(), 2);
        assert!(super::members("http://h:1").unwrap_err().contains("no name"));
        assert!(super::members("a=http://h:1,b=http://h:1").unwrap_err().contains("twice"));
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(check(Kind::Count(4, 31), "31"), Ok(()));
        for bad in ["3", "32", "x", "", "-4", "4.0"] {
            let expected = Err("expected a whole number from 4 to 31".to_owned());
            assert_eq!(check(Kind::Count(4, 31), bad), expected, "{bad}");
        }
        assert_eq!(check(Kind::Signed, "-1"), Ok(()));
        assert!(check(Kind::Milliseconds, "0").is_err());
        assert!(check(Kind::Milliseconds, "100ms").is_err());
        assert!(check(Kind::Routes, "n2=127.0.0.1:9000,n3=h:1").is_ok());
        assert!(check(Kind::Routes, "n2=127.0.0.1").is_err());
    }

    #[test]
    fn a_name_can_stand_in_a_list_of_members() {
        for good in ["default", "n1", "node-7.example", "größe"] {
            assert_eq!(check(Kind::Name, good), Ok(()), "{good}");
        }
        for bad in ["", " ", "a b", "a=b", "a,b", "a\n", "\u{7f}"] {
            assert!(check(Kind::Name, bad).is_err(), "{bad:?}");
        }
    }
}

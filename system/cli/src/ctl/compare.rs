//! The conditions of a transaction, one per line: `mod("key1") > "0"`.

use quorate_client::etcd::etcdserverpb::Compare;
use quorate_client::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};

use super::quote::{closing_quote, quote, unquote};
use super::units::parse_number;

/// The three parts between and after the parentheses, as far as they could be read.
#[derive(Default)]
struct Parts {
    key: Vec<u8>,
    operator: String,
    value: Vec<u8>,
    complete: bool,
}

/// Reads one condition.
///
/// # Errors
/// What is wrong with the line, in etcdctl's words where it has any.
pub fn parse(line: &str) -> Result<Compare, String> {
    let malformed = || format!("malformed comparison: {line}");
    let (target, rest) = line.split_once('(').ok_or_else(malformed)?;
    let parts = split(rest);
    if !parts.complete {
        let (key, value) = (quote(&parts.key), quote(&parts.value));
        return Err(format!("{}; got {target}({key}) {} {value}", malformed(), parts.operator));
    }
    let number = |radix| {
        let text = String::from_utf8_lossy(&parts.value);
        parse_number(&text, radix).map_err(|_| format!("invalid txn compare request: {line}"))
    };
    let (target, union) = match target {
        "ver" | "version" => (CompareTarget::Version, TargetUnion::Version(number(10)?)),
        "c" | "create" => (CompareTarget::Create, TargetUnion::CreateRevision(number(10)?)),
        "m" | "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number(10)?)),
        "val" | "value" => (CompareTarget::Value, TargetUnion::Value(parts.value.clone().into())),
        // Leases are written in hexadecimal everywhere else, so here too.
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number(16)?)),
        _ => return Err(format!("{} (unknown target {target})", malformed())),
    };
    let result = match parts.operator.as_str() {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        other => {
            return Err(format!("{} (unknown operator {other}: use =, !=, < or >)", malformed()));
        }
    };
    Ok(Compare {
        result: result as i32,
        target: target as i32,
        key: parts.key.into(),
        target_union: Some(union),
        ..Compare::default()
    })
}

/// Splits `"key") > "value"`.
fn split(text: &str) -> Parts {
    let mut parts = Parts::default();
    let Some((key, rest)) = quoted(text) else {
        return parts;
    };
    parts.key = key;
    let Some(rest) = rest.strip_prefix(')').map(str::trim_start) else {
        return parts;
    };
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    parts.operator = rest[..end].to_owned();
    if let Some((value, _)) = quoted(&rest[end..]) {
        parts.value = value;
        parts.complete = true;
    }
    parts
}

/// A quoted word at the start, and what follows it.
fn quoted(text: &str) -> Option<(Vec<u8>, &str)> {
    let text = text.trim_start().strip_prefix('"').map(|_| text.trim_start())?;
    let end = closing_quote(text)?;
    Some((unquote(&text[..end]).ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_and_operator_can_be_written() {
        let lines = [
            (
                r#"ver("k") = "1""#,
                CompareTarget::Version,
                CompareResult::Equal,
                TargetUnion::Version(1),
            ),
            (
                r#"create("k") != "2""#,
                CompareTarget::Create,
                CompareResult::NotEqual,
                TargetUnion::CreateRevision(2),
            ),
            (
                r#"mod("k") > "-3""#,
                CompareTarget::Mod,
                CompareResult::Greater,
                TargetUnion::ModRevision(-3),
            ),
            (
                r#"value("k") < "a b""#,
                CompareTarget::Value,
                CompareResult::Less,
                TargetUnion::Value("a b".into()),
            ),
            (
                r#"lease("k")   =  "1f""#,
                CompareTarget::Lease,
                CompareResult::Equal,
                TargetUnion::Lease(31),
            ),
        ];
        for (line, target, result, union) in lines {
            let compare = parse(line).expect(line);
            assert_eq!((compare.target(), compare.result()), (target, result), "{line}");
            assert_eq!(compare.target_union, Some(union), "{line}");
            assert_eq!(compare.key, "k");
        }
        assert_eq!(parse(r#"mod("a\x00\"b") = "1""#).expect("escapes").key.to_vec(), b"a\0\"b");
    }

    #[test]
    fn a_line_that_cannot_be_read_says_how_far_it_got() {
        assert_eq!(
            parse(r#"mod(lk) > "10""#).unwrap_err(),
            r#"malformed comparison: mod(lk) > "10"; got mod("")  """#
        );
        assert_eq!(
            parse(r#"foo("lk") > "10""#).unwrap_err(),
            r#"malformed comparison: foo("lk") > "10" (unknown target foo)"#
        );
        assert_eq!(
            parse(r#"mod("lk") > "x""#).unwrap_err(),
            r#"invalid txn compare request: mod("lk") > "x""#
        );
        for line in ["mod", r#"mod("lk")="1""#, r#"mod("lk") ~ "1""#, r#"mod("lk"#] {
            assert!(parse(line).unwrap_err().starts_with("malformed comparison"), "{line}");
        }
    }
}

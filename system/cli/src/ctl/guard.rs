//! `lock guard`, `lock unguard`, `lock guards`: which keys need the token of a lock to be written.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use quorate_client::native::{
    GuardListRequest, GuardListResponse, GuardRemoveRequest, GuardSetRequest, Guarded,
};

use super::access;
use super::failure::Failure;
use super::global::Global;
use super::json::{self, Object};
use super::output::{Format, Output};

/// Runs the command called `name`.
pub async fn run(
    name: &str,
    words: Vec<OsString>,
    by: Option<OsString>,
    global: &Global,
) -> Result<(), Failure> {
    let mut output = global.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (name, &words[..], by) {
        ("guard", [prefix], Some(lock)) => {
            let (prefix, lock) = (prefix.clone().into_vec(), lock.into_vec());
            let sentence = format!(
                "writes under {} now need the token of lock {}",
                text(&prefix),
                text(&lock)
            );
            let request = GuardSetRequest { prefix: prefix.into(), lock: lock.into() };
            let answer = global.client()?.guard_set(request).await?;
            access::done(&mut output, answer.header.as_ref(), &answer, &sentence)?;
        }
        ("unguard", [prefix], None) => {
            let prefix = prefix.clone().into_vec();
            let sentence = format!("writes under {} need no token any more", text(&prefix));
            let request = GuardRemoveRequest { prefix: prefix.into() };
            let answer = global.client()?.guard_remove(request).await?;
            access::done(&mut output, answer.header.as_ref(), &answer, &sentence)?;
        }
        ("guards", [], None) => {
            let answer = global.client()?.guard_list(GuardListRequest {}).await?;
            print(&mut output, &answer)?;
        }
        ("guard", _, _) => {
            return Err(Failure::arguments("write `quorate lock guard PREFIX --by LOCK`"));
        }
        ("unguard", _, _) => {
            return Err(Failure::arguments("write `quorate lock unguard PREFIX`"));
        }
        (_, _, _) => return Err(Failure::arguments("lock guards takes no arguments")),
    }
    output.flush()
}

fn row(guard: &Guarded) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let token = if guard.token == 0 { "nobody".to_owned() } else { guard.token.to_string() };
    vec![text(&guard.prefix), text(&guard.lock), token, text(&guard.holder)]
}

fn print(output: &mut Output, answer: &GuardListResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => {
            answer.guards.iter().for_each(|guard| output.line(row(guard).join(", ")));
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            for guard in &answer.guards {
                output.quoted("Prefix", &guard.prefix);
                output.quoted("Lock", &guard.lock);
                output.field("Token", guard.token);
                output.quoted("Holder", &guard.holder);
                output.line("");
            }
        }
        Format::Json => {
            let guard = |guard: &Guarded| {
                Object::new()
                    .some_bytes("prefix", &guard.prefix)
                    .some_bytes("lock", &guard.lock)
                    .some("token", guard.token)
                    .some_bytes("holder", &guard.holder)
                    .end()
            };
            let object = Object::new().optional("header", json::header(answer.header.as_ref()));
            output.line(object.some_list("guards", answer.guards.iter().map(guard)).end());
        }
        Format::Protobuf => output.message(answer),
        Format::Table => {
            let rows: Vec<Vec<String>> = answer.guards.iter().map(row).collect();
            output.table(&["prefix", "lock", "token", "holder"], &rows);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_are_listed_with_their_holders() {
        let held = Guarded {
            prefix: "orders/".into(),
            lock: "orders-lock".into(),
            token: 15,
            holder: "orders-lock/1f".into(),
        };
        let free = Guarded { prefix: "b/".into(), lock: "m".into(), ..Guarded::default() };
        let answer = GuardListResponse { header: None, guards: vec![held, free] };
        let mut output = Output::new(Format::Simple, false);
        print(&mut output, &answer).expect("format exists");
        let expected = "orders/, orders-lock, 15, orders-lock/1f\nb/, m, nobody, \n";
        assert_eq!(output.text(), expected);
    }
}

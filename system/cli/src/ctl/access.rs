//! Printing the answers about users, roles and whether access control is on.

use quorate_client::etcd::authpb::Permission;
use quorate_client::etcd::authpb::permission::Type;
use quorate_client::etcd::etcdserverpb::{
    AuthRoleGetResponse, AuthRoleListResponse, AuthStatusResponse, AuthUserGetResponse,
    AuthUserListResponse, ResponseHeader,
};
use quorate_client::prefix_end;

use super::failure::Failure;
use super::json::{self, Object};
use super::output::{Format, Output};

/// Prints an answer that says nothing but that it was done: `sentence` in the simple format.
pub fn done(
    output: &mut Output,
    header: Option<&ResponseHeader>,
    message: &impl prost::Message,
    sentence: &str,
) -> Result<(), Failure> {
    match output.format {
        Format::Simple => output.line(sentence),
        Format::Fields => output.header(header),
        Format::Json => output.line(Object::new().optional("header", json::header(header)).end()),
        Format::Protobuf => output.message(message),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

/// Prints whether access control is on.
pub fn status(output: &mut Output, answer: &AuthStatusResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => {
            output.line(format!("Authentication Status: {}", answer.enabled));
            output.line(format!("AuthRevision: {}", answer.auth_revision));
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            output.field("Enabled", answer.enabled);
            output.field("AuthRevision", answer.auth_revision);
        }
        Format::Json => output.line(
            Object::new()
                .optional("header", json::header(answer.header.as_ref()))
                .some("enabled", answer.enabled)
                .some("authRevision", answer.auth_revision)
                .end(),
        ),
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

/// Prints the roles of a user.
pub fn user(output: &mut Output, name: &str, answer: &AuthUserGetResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => {
            output.line(format!("User: {name}"));
            let roles: String = answer.roles.iter().map(|role| format!(" {role}")).collect();
            output.line(format!("Roles:{roles}"));
        }
        Format::Fields => {
            output.header(answer.header.as_ref());
            names_field(output, "Roles", &answer.roles);
        }
        Format::Json => names_json(output, answer.header.as_ref(), "roles", &answer.roles),
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

/// Prints all users.
pub fn users(output: &mut Output, answer: &AuthUserListResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => answer.users.iter().for_each(|name| output.line(name)),
        Format::Fields => {
            output.header(answer.header.as_ref());
            names_field(output, "Users", &answer.users);
        }
        Format::Json => names_json(output, answer.header.as_ref(), "users", &answer.users),
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

/// Prints all roles.
pub fn roles(output: &mut Output, answer: &AuthRoleListResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => answer.roles.iter().for_each(|name| output.line(name)),
        Format::Fields => {
            output.header(answer.header.as_ref());
            names_field(output, "Roles", &answer.roles);
        }
        Format::Json => names_json(output, answer.header.as_ref(), "roles", &answer.roles),
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

fn names_field(output: &mut Output, title: &str, names: &[String]) {
    let quoted: String =
        names.iter().map(|name| format!(" {}", super::quote::quote(name.as_bytes()))).collect();
    output.line(format!("\"{title}\" :{quoted}"));
}

fn names_json(output: &mut Output, header: Option<&ResponseHeader>, title: &str, names: &[String]) {
    let object = Object::new().optional("header", json::header(header));
    output.line(object.some_list(title, names.iter().map(|name| json::string(name))).end());
}

/// Prints what a role may do.
pub fn role(output: &mut Output, name: &str, answer: &AuthRoleGetResponse) -> Result<(), Failure> {
    match output.format {
        Format::Simple => role_lines(output, name, &answer.perm),
        Format::Fields => {
            output.header(answer.header.as_ref());
            for permission in &answer.perm {
                // Two spaces: that is how etcdctl prints it.
                output.line(format!("\"PermType\" :  {}", permission.perm_type().as_str_name()));
                output.quoted("Key", &permission.key);
                output.quoted("RangeEnd", &permission.range_end);
            }
        }
        Format::Json => {
            let permission = |permission: &Permission| {
                Object::new()
                    .some("permType", permission.perm_type)
                    .some_bytes("key", &permission.key)
                    .some_bytes("range_end", &permission.range_end)
                    .end()
            };
            let object = Object::new().optional("header", json::header(answer.header.as_ref()));
            output.line(object.some_list("perm", answer.perm.iter().map(permission)).end());
        }
        Format::Protobuf => output.message(answer),
        Format::Table => return Err(output.unsupported()),
    }
    Ok(())
}

fn role_lines(output: &mut Output, name: &str, permissions: &[Permission]) {
    output.line(format!("Role {name}"));
    let of = |kind: Type| {
        let allowed = move |permission: &&Permission| {
            permission.perm_type() == kind || permission.perm_type() == Type::Readwrite
        };
        permissions.iter().filter(allowed)
    };
    for (title, kind) in [("KV Read:", Type::Read), ("KV Write:", Type::Write)] {
        output.line(title);
        if name == "root" && permissions.is_empty() {
            output.line("\t[, <open ended>");
        }
        for permission in of(kind) {
            output.line([b"\t", &range_text(&permission.key, &permission.range_end)[..]].concat());
        }
    }
}

/// A range as etcdctl prints it.
fn range_text(key: &[u8], end: &[u8]) -> Vec<u8> {
    if end.is_empty() {
        return key.to_vec();
    }
    let mut text = [b"[", key, b", "].concat();
    if end == [0] {
        text.extend_from_slice(b"<open ended>");
    } else {
        text.extend_from_slice(end);
        text.push(b')');
    }
    if !key.is_empty() && prefix_end(key) == end {
        text.extend_from_slice(&[b" (prefix ", key, b")"].concat());
    }
    text
}

/// The sentence about a permission that was taken away.
pub fn revoked(role: &str, key: &str, end: &[u8]) -> String {
    match end {
        [] => format!("Permission of key {key} is revoked from role {role}"),
        [0] => format!("Permission of range [{key}, <open ended> is revoked from role {role}"),
        end => {
            let end = String::from_utf8_lossy(end);
            format!("Permission of range [{key}, {end}) is revoked from role {role}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(kind: Type, key: &str, end: &'static [u8]) -> Permission {
        Permission { perm_type: kind as i32, key: key.to_owned().into(), range_end: end.into() }
    }

    fn printed(format: Format, print: impl FnOnce(&mut Output) -> Result<(), Failure>) -> String {
        let mut output = Output::new(format, false);
        print(&mut output).expect("format exists");
        output.text()
    }

    #[test]
    fn a_role_lists_its_ranges_as_etcdctl_does() {
        let answer = AuthRoleGetResponse {
            header: None,
            perm: vec![
                permission(Type::Readwrite, "a", b""),
                permission(Type::Read, "p/", b"p0"),
                permission(Type::Write, "x", b"\0"),
                permission(Type::Read, "k", b"m"),
            ],
        };
        let text = printed(Format::Simple, |output| role(output, "r", &answer));
        let expected = "Role r\nKV Read:\n\ta\n\t[p/, p0) (prefix p/)\n\t[k, m)\nKV Write:\n\ta\n\t\
                        [x, <open ended>\n";
        assert_eq!(text, expected);
        let json = printed(Format::Json, |output| role(output, "r", &answer));
        assert!(json.starts_with("{\"perm\":[{\"permType\":2,\"key\":\"YQ==\"},"), "{json}");
        let root = printed(Format::Simple, |output| role(output, "root", &Default::default()));
        let expected = "Role root\nKV Read:\n\t[, <open ended>\nKV Write:\n\t[, <open ended>\n";
        assert_eq!(root, expected);
    }

    #[test]
    fn names_are_listed_in_every_format() {
        let answer = AuthUserGetResponse { header: None, roles: vec!["a".into(), "b".into()] };
        let print = |output: &mut Output| user(output, "u", &answer);
        assert_eq!(printed(Format::Simple, print), "User: u\nRoles: a b\n");
        assert_eq!(printed(Format::Json, print), "{\"roles\":[\"a\",\"b\"]}\n");
        assert!(printed(Format::Fields, print).ends_with("\"Roles\" : \"a\" \"b\"\n"));
    }

    #[test]
    fn what_was_taken_away_is_said() {
        assert_eq!(revoked("r", "k", b""), "Permission of key k is revoked from role r");
        let range = "Permission of range [k, m) is revoked from role r";
        assert_eq!(revoked("r", "k", b"m"), range);
        let open = "Permission of range [k, <open ended> is revoked from role r";
        assert_eq!(revoked("r", "k", b"\0"), open);
    }
}

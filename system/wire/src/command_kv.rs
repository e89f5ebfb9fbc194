//! The codec of commands about keys: see `command.rs`, of which it is a part.

use crate::binary::{
    Malformed, Read, get_bool, get_bytes, get_count, get_i64, get_u8, put_bytes, put_i64, put_u64,
};
use bytes::{BufMut, Bytes, BytesMut};
use quorate_store::{
    Compare, CompareResult, CompareTarget, Delete, KeyRange, Put, Range, SortOrder, SortTarget,
    Txn, TxnOp,
};

/// Transactions nest at most so deep; the API refuses more long before.
const MAX_DEPTH: usize = 128;

pub fn put_range_keys(out: &mut BytesMut, range: &KeyRange) {
    put_bytes(out, &range.key);
    put_bytes(out, &range.end);
}

pub fn get_range_keys(input: &mut Bytes) -> Read<KeyRange> {
    Ok(KeyRange { key: get_bytes(input, "key")?, end: get_bytes(input, "range end")? })
}

fn flags(bits: &[bool]) -> u8 {
    bits.iter().enumerate().fold(0, |all, (at, bit)| all | (u8::from(*bit) << at))
}

pub fn put_put(out: &mut BytesMut, put: &Put) {
    out.put_u8(flags(&[put.prev_kv, put.ignore_value, put.ignore_lease]));
    put_bytes(out, &put.key);
    put_bytes(out, &put.value);
    put_i64(out, put.lease);
}

pub fn get_put(input: &mut Bytes) -> Read<Put> {
    let flags = get_u8(input, "put flags")?;
    if flags > 7 {
        return Err(Malformed { what: "put flags" });
    }
    Ok(Put {
        key: get_bytes(input, "put key")?,
        value: get_bytes(input, "put value")?,
        lease: get_i64(input, "put lease")?,
        prev_kv: flags & 1 != 0,
        ignore_value: flags & 2 != 0,
        ignore_lease: flags & 4 != 0,
    })
}

pub fn put_delete(out: &mut BytesMut, delete: &Delete) {
    out.put_u8(flags(&[delete.prev_kv]));
    put_range_keys(out, &delete.range);
}

pub fn get_delete(input: &mut Bytes) -> Read<Delete> {
    let prev_kv = get_bool(input, "delete flags")?;
    Ok(Delete { range: get_range_keys(input)?, prev_kv })
}

fn put_range(out: &mut BytesMut, range: &Range) {
    out.put_u8(flags(&[range.keys_only, range.count_only]));
    put_range_keys(out, &range.range);
    out.put_u8(match range.order {
        SortOrder::None => 0,
        SortOrder::Ascend => 1,
        SortOrder::Descend => 2,
    });
    out.put_u8(match range.target {
        SortTarget::Key => 0,
        SortTarget::Version => 1,
        SortTarget::Create => 2,
        SortTarget::Mod => 3,
        SortTarget::Value => 4,
    });
    for number in [
        range.limit,
        range.revision,
        range.min_mod_revision,
        range.max_mod_revision,
        range.min_create_revision,
        range.max_create_revision,
    ] {
        put_i64(out, number);
    }
}

fn get_range(input: &mut Bytes) -> Read<Range> {
    let flags = get_u8(input, "range flags")?;
    if flags > 3 {
        return Err(Malformed { what: "range flags" });
    }
    let range = get_range_keys(input)?;
    let order = match get_u8(input, "sort order")? {
        0 => SortOrder::None,
        1 => SortOrder::Ascend,
        2 => SortOrder::Descend,
        _ => return Err(Malformed { what: "sort order" }),
    };
    let target = match get_u8(input, "sort target")? {
        0 => SortTarget::Key,
        1 => SortTarget::Version,
        2 => SortTarget::Create,
        3 => SortTarget::Mod,
        4 => SortTarget::Value,
        _ => return Err(Malformed { what: "sort target" }),
    };
    Ok(Range {
        range,
        order,
        target,
        keys_only: flags & 1 != 0,
        count_only: flags & 2 != 0,
        limit: get_i64(input, "range limit")?,
        revision: get_i64(input, "range revision")?,
        min_mod_revision: get_i64(input, "min mod revision")?,
        max_mod_revision: get_i64(input, "max mod revision")?,
        min_create_revision: get_i64(input, "min create revision")?,
        max_create_revision: get_i64(input, "max create revision")?,
    })
}

pub fn put_txn(out: &mut BytesMut, txn: &Txn) {
    put_u64(out, txn.compares.len() as u64);
    txn.compares.iter().for_each(|compare| put_compare(out, compare));
    for branch in [&txn.success, &txn.failure] {
        put_u64(out, branch.len() as u64);
        for op in branch {
            match op {
                TxnOp::Range(range) => {
                    out.put_u8(1);
                    put_range(out, range);
                }
                TxnOp::Put(put) => {
                    out.put_u8(2);
                    put_put(out, put);
                }
                TxnOp::Delete(delete) => {
                    out.put_u8(3);
                    put_delete(out, delete);
                }
                TxnOp::Txn(inner) => {
                    out.put_u8(4);
                    put_txn(out, inner);
                }
            }
        }
    }
}

pub fn get_txn(input: &mut Bytes) -> Read<Txn> {
    get_nested(input, MAX_DEPTH)
}

fn get_nested(input: &mut Bytes, depth: usize) -> Read<Txn> {
    let depth = depth.checked_sub(1).ok_or(Malformed { what: "transaction nested too deep" })?;
    let count = get_count(input, "compare count")?;
    let compares = (0..count).map(|_| get_compare(input)).collect::<Read<Vec<_>>>()?;
    let success = get_branch(input, depth)?;
    let failure = get_branch(input, depth)?;
    Ok(Txn { compares, success, failure })
}

fn get_branch(input: &mut Bytes, depth: usize) -> Read<Vec<TxnOp>> {
    let count = get_count(input, "operation count")?;
    (0..count)
        .map(|_| {
            Ok(match get_u8(input, "operation")? {
                1 => TxnOp::Range(get_range(input)?),
                2 => TxnOp::Put(get_put(input)?),
                3 => TxnOp::Delete(get_delete(input)?),
                4 => TxnOp::Txn(get_nested(input, depth)?),
                _ => return Err(Malformed { what: "operation" }),
            })
        })
        .collect()
}

fn put_compare(out: &mut BytesMut, compare: &Compare) {
    put_range_keys(out, &compare.range);
    out.put_u8(match compare.result {
        CompareResult::Equal => 0,
        CompareResult::Greater => 1,
        CompareResult::Less => 2,
        CompareResult::NotEqual => 3,
    });
    let (tag, number) = match &compare.target {
        CompareTarget::Version(number) => (0, *number),
        CompareTarget::Create(number) => (1, *number),
        CompareTarget::Mod(number) => (2, *number),
        CompareTarget::Lease(number) => (4, *number),
        CompareTarget::Value(value) => {
            out.put_u8(3);
            put_bytes(out, value);
            return;
        }
    };
    out.put_u8(tag);
    put_i64(out, number);
}

fn get_compare(input: &mut Bytes) -> Read<Compare> {
    let range = get_range_keys(input)?;
    let result = match get_u8(input, "compare result")? {
        0 => CompareResult::Equal,
        1 => CompareResult::Greater,
        2 => CompareResult::Less,
        3 => CompareResult::NotEqual,
        _ => return Err(Malformed { what: "compare result" }),
    };
    let target = match get_u8(input, "compare target")? {
        0 => CompareTarget::Version(get_i64(input, "compare operand")?),
        1 => CompareTarget::Create(get_i64(input, "compare operand")?),
        2 => CompareTarget::Mod(get_i64(input, "compare operand")?),
        3 => CompareTarget::Value(get_bytes(input, "compare operand")?),
        4 => CompareTarget::Lease(get_i64(input, "compare operand")?),
        _ => return Err(Malformed { what: "compare target" }),
    };
    Ok(Compare { range, result, target })
}

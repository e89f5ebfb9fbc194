# Contract items 27 and 28: the writes of a transaction are seen apart, or its own reads do not see
# them.
(put a 1)
txn "mod a = 2" then "put b 1" "get a z" "put c 1" "del a" else "get a"
expect rev=3 keys="b c" mod.b=3 mod.c=3
---
revision 3, then [] [[a=1 (mod 2, create 2, version 1); b=1 (mod 3, create 3, version 1)] count 2] [] [1 deleted]
as expected

# The comparison does not hold any more: the other branch, which changes nothing, is no revision.
txn "mod a = 2" then "put b 2" else "get b"
expect rev=3 value.b=1
---
revision 3, else [[b=1 (mod 3, create 3, version 1)] count 1]
as expected

# Item 25: the value of a missing key compares with nothing, its other fields are zero.
txn "value missing != x" then "put d 1"
txn "version missing = 0" then "put e 1"
expect rev=4 keys="b c e"
---
revision 3, else []
revision 4, then []
as expected

# Fencing, and CVE-2026-33343 (a nested transaction skipped the check): a guard is held against every operation on the
# path that a transaction takes, however deep, and a refused one has changed nothing.
(put lock/1)
(guard data/ by=lock)
txn then "put free 1" "txn put data/a 1"
expect answer="fenced at revision 2: data/ needs token 2 of lock, not none" keys="lock/1"
---
fenced at revision 2: data/ needs token 2 of lock, not none
as expected

txn then "put free 1" "txn txn del all"
expect answer="fenced at revision 2: data/ needs token 2 of lock, not none" keys="lock/1"
---
fenced at revision 2: data/ needs token 2 of lock, not none
as expected

# A branch that is not taken writes nothing.
txn "version free > 0" then "put data/a 1" else "put free 1"
expect keys="free lock/1"
---
revision 3, else []
as expected

txn then "put free 2" "txn txn put data/a 1" fence="lock:2"
expect keys="data/a free lock/1" rev=4
---
revision 4, then [] [then [then []]]
as expected

# A range that could hold a guarded key touches it, also when it does not.
del a zz
expect answer="fenced at revision 4: data/ needs token 2 of lock, not none"
---
fenced at revision 4: data/ needs token 2 of lock, not none
as expected

del data/z zz
expect answer="fenced at revision 4: data/ needs token 2 of lock, not none"
---
fenced at revision 4: data/ needs token 2 of lock, not none
as expected

del data0 zz
expect keys="data/a"
---
revision 5, 2 deleted
as expected

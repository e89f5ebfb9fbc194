# Contract items 26 and 30: a transaction that is refused half-way has changed something, or is
# refused by some members only.
(put a 1)
(put a 2)
(compact 3)
txn then "put b 1" "get a rev=2"
expect answer="refused at revision 3: Compacted { asked: 2, compacted: 3 }" keys="a"
---
refused at revision 3: Compacted { asked: 2, compacted: 3 }
as expected

txn then "put b 1" "put c 1 lease 9"
expect answer="refused at revision 3: LeaseNotFound" keys="a" rev=3 applied=5
---
refused at revision 3: LeaseNotFound
as expected

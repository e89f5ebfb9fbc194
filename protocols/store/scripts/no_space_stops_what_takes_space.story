# Contract item 36: under the alarm something that takes space goes through, or what would free some
# does not.
(put a 1)
(grant 5 60)
alarm on
put b 1
grant 6 60
txn then "get a" else "put b 1"
expect answer="refused at revision 2: NoSpace" keys=a leases=5
---
revision 2, 1 alarms
refused at revision 2: NoSpace
refused at revision 2: NoSpace
refused at revision 2: NoSpace
as expected

txn then "del a"
revoke 5
compact 3
alarm off
put b 1
expect rev=4 keys=b leases="" compacted=3
---
revision 3, then [1 deleted]
revision 3
revision 3
revision 3, 1 alarms
revision 4
as expected

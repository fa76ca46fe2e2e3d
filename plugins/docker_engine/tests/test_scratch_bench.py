import time, pytest
from botdock.model import DEFAULT_LIMITS, LogCursor, Stream
from botdock_engine_docker.kept import KeptLog
CALL=60.0
def drop(wire):
    n=0
    while not wire.ended: n+=len(wire.receive(10.0))
    wire.close(); return n
def test_it(python_lab):
    e=python_lab.engine
    prog="import sys\nl='%s'\nfor i in range(1000000): sys.stdout.write('%08d '%i + 'x'*90 + chr(10))"
    cid=e.create(python_lab.spec("python3","-c",prog),timeout=CALL)
    chunks=[];tail=b"";n=0;first=last=0
    t=time.monotonic()
    with e.attach(cid,timeout=CALL) as s:
        e.start(cid,timeout=CALL)
        while not s.ended:
            for c in s.read(5.0):
                if n<95_000_000: n+=len(c.data);tail=(tail+c.data)[-4096:];last=c.time_ns;first=first or c.time_ns
    print("\nattach all",time.monotonic()-t, "stored",n, "span s", (last-first)/1e9)
    call=e._client.about("read_logs",timeout=CALL,container_id=cid)
    k=KeptLog(e._client,call)
    t=time.monotonic();print("whole raw",drop(k.ask(follow=False,since_ns=0)),time.monotonic()-t)
    for w in (2.0,0.25):
        t=time.monotonic();print("since -",w,drop(k.ask(follow=False,since_ns=last-int(w*1e9))),time.monotonic()-t)
    for name,cur in (("count only",LogCursor(stdout=n)),("look",LogCursor(stdout=n,first_ns=first,last_ns=last,stdout_tail=tail))):
        t=time.monotonic();got=0;f=None
        with e.read_logs(cid,cursor=cur,follow=False,timeout=CALL) as s:
            while not s.ended:
                for c in s.read(5.0):
                    f=f or time.monotonic()-t; got+=len(c.data)
        print(name,"first byte after",f,"all",time.monotonic()-t,got+n, s.lost)

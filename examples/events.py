"""Prints what happens, one event a line, by the HTTP gateway; after anything that breaks off it goes on where it was.
usage: events.py URL [PARAMETER=VALUE...]      as in: events.py http://127.0.0.1:9080 type=worker type=reload program=web"""
import http.client, sys, time, urllib.error, urllib.parse, urllib.request

def events(url):
    """Yields each event, a dictionary of its fields: id, event, data. It ends only where the gateway refuses."""
    last, wait = None, 1
    while True:
        request = urllib.request.Request(url, headers={"Last-Event-ID": last} if last else {})
        try:
            # There is a heartbeat every 15 seconds: who hears nothing for longer has lost the connection.
            with urllib.request.urlopen(request, timeout=40) as stream:
                fields = {}
                for line in map(bytes.decode, stream):
                    name, _, value = line.rstrip("\n").partition(": ")
                    if line != "\n":
                        fields[name] = value
                        continue
                    last = fields.get("id", last)
                    wait = int(fields.get("retry", wait * 1000)) / 1000
                    if "data" in fields:
                        yield fields
                    fields = {}
        except urllib.error.HTTPError as error:
            sys.exit(f"{error}: {error.read().decode()}")
        except (OSError, http.client.HTTPException) as error:
            print(f"broken off: {error}", file=sys.stderr)
        time.sleep(wait)

if len(sys.argv) < 2:
    sys.exit(__doc__)
query = urllib.parse.urlencode([argument.partition("=")[::2] for argument in sys.argv[2:]])
for event in events(f"{sys.argv[1].rstrip('/')}/events?{query}"):
    print(event["id"], event["event"], event["data"], flush=True)

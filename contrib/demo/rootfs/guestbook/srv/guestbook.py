"""A guestbook: GET / lists the entries, POST / with a line of text adds one, GET /health says whether the database
answers. Where the database is and who we are there comes from the environment, its password from a file."""

import html
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg2

TABLE = "create table if not exists entries (number serial primary key, text text not null)"


def connect():
    password = Path(os.environ["DATABASE_PASSWORD_FILE"]).read_text().strip()
    return psycopg2.connect(
        host=os.environ["DATABASE_HOST"], dbname="guestbook", user="postgres", password=password, connect_timeout=5
    )


def ask(statement, *values):
    """The rows of one statement, in a transaction of its own."""
    connection = connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


class Guestbook(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            self.answer(200 if ask("select 1") == [(1,)] else 503, "well\n")
        else:
            entries = "".join(f"<li>{html.escape(text)}</li>" for (text,) in ask("select text from entries order by 1"))
            self.answer(200, f"<!doctype html><title>Guestbook</title><h1>Guestbook</h1><ul>{entries}</ul>\n")

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("utf-8", "replace")
        ask("insert into entries (text) values (%s)", text)
        self.answer(201, "thank you\n")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ask(TABLE)
print("listening on port 8000", flush=True)
ThreadingHTTPServer(("", 8000), Guestbook).serve_forever()

"""
Varlink's interface definition language, from https://varlink.org/Interface-Definition alone: reads a description, and says where a
value does not have the type that it promises.

A type is a string (bool, int, float, string, object, or the name of another), or a pair: ("maybe", type), ("array", type),
("map", type), ("enum", [names]), ("struct", {name: type}).
"""
import re

TOKEN = re.compile(r"\s+|#[^\n]*|(?P<word>[A-Za-z][A-Za-z0-9_.-]*)|(?P<mark>->|\[string\]|\[\]|[(),:?])")
BASIC = {"bool": bool, "int": int, "float": (int, float), "string": str, "object": (dict, list, str, int, float, bool)}
INTERFACE = re.compile(r"[A-Za-z](-*[A-Za-z0-9])*(\.[A-Za-z0-9](-*[A-Za-z0-9])*)+")
MEMBER = re.compile(r"[A-Z][A-Za-z0-9]*")
FIELD = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*")


class Interface:
    """`types`, `errors` and `methods` by name; a method is a pair of structs, its input and its output."""

    def __init__(self, text):
        self._tokens = list(self._tokenize(text))
        self.types, self.errors, self.methods = {}, {}, {}
        self._expect("interface")
        self.name = self._word(INTERFACE)
        while self._tokens:
            self._member()
        for _, kind in [*self.types.items(), *self.errors.items()]:
            self._resolve(kind)
        for pair in self.methods.values():
            for kind in pair:
                self._resolve(kind)

    # --- reading

    @staticmethod
    def _tokenize(text):
        at = 0
        while at < len(text):
            match = TOKEN.match(text, at)
            assert match, f"no token of the language: {text[at:at + 40]!r}"
            if match.lastgroup:
                yield match[0]
            at = match.end()

    def _expect(self, token):
        found = self._tokens.pop(0)
        assert found == token, f"{found!r} instead of {token!r}, before {self._tokens[:5]}"

    def _take(self, token):
        if self._tokens[:1] == [token]:
            return self._tokens.pop(0)
        return None

    def _word(self, pattern):
        word = self._tokens.pop(0)
        assert pattern.fullmatch(word), f"{word!r} is no name here"
        return word

    def _member(self):
        keyword = self._tokens.pop(0)
        name = self._word(MEMBER)
        assert name not in {**self.types, **self.errors, **self.methods}, f"{name} is there twice"
        if keyword == "type":
            self.types[name] = self._structure()
        elif keyword == "error":
            self.errors[name] = self._structure()
        else:
            assert keyword == "method", f"{keyword!r} is no member"
            taken = self._structure()
            self._expect("->")
            self.methods[name] = (taken, self._structure())
            assert "enum" not in (self.methods[name][0][0], self.methods[name][1][0]), f"{name} takes or returns an enum"

    def _structure(self):
        self._expect("(")
        fields, names = {}, []
        while not self._take(")"):
            name = self._word(FIELD)
            assert name not in names, f"{name} is there twice"
            names.append(name)
            if self._take(":"):
                fields[name] = self._type()
            if self._tokens[0] != ")":
                self._expect(",")
        assert not fields or len(fields) == len(names), f"half a struct, half an enum: {names}"
        return ("struct", fields) if fields or not names else ("enum", names)

    def _type(self):
        if self._take("?"):
            inner = self._type()
            assert inner[0] != "maybe", "?? is not allowed"
            return ("maybe", inner)
        if self._take("[]"):
            return ("array", self._type())
        if self._take("[string]"):
            return ("map", self._type())
        if self._tokens[0] == "(":
            return self._structure()
        word = self._tokens.pop(0)
        return word if word in BASIC else self._check_name(word)

    @staticmethod
    def _check_name(word):
        assert MEMBER.fullmatch(word), f"{word!r} is no type"
        return word

    def _resolve(self, kind):
        """Every name that is used must be there."""
        if isinstance(kind, str):
            assert kind in BASIC or kind in self.types, f"the type {kind} is not there"
        elif kind[0] == "struct":
            for inner in kind[1].values():
                self._resolve(inner)
        elif kind[0] != "enum":
            self._resolve(kind[1])

    # --- checking

    def wrong(self, kind, value, where=""):
        """What is wrong with a value: a list of lines."""
        if isinstance(kind, str):
            if kind in self.types:
                return self.wrong(self.types[kind], value, where)
            good = isinstance(value, BASIC[kind]) and (kind in ("bool", "object") or not isinstance(value, bool))
            return [] if good else [f"{where}: {value!r} is no {kind}"]
        return getattr(self, f"_wrong_{kind[0]}")(kind[1], value, where)

    def _wrong_maybe(self, inner, value, where):
        return [] if value is None else self.wrong(inner, value, where)

    def _wrong_array(self, inner, value, where):
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no array"]
        return [line for i, item in enumerate(value) for line in self.wrong(inner, item, f"{where}[{i}]")]

    def _wrong_map(self, inner, value, where):
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no map"]
        return [line for key, item in value.items() for line in self.wrong(inner, item, f"{where}[{key!r}]")]

    @staticmethod
    def _wrong_enum(names, value, where):
        return [] if value in names else [f"{where}: {value!r} is none of {names}"]

    def _wrong_struct(self, fields, value, where):
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no struct"]
        lines = [f"{where}: {name} is not in the description" for name in value if name not in fields]
        for name, kind in fields.items():
            lines += self.wrong(kind, value.get(name), f"{where}.{name}")
        return lines

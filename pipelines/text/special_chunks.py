"""Chunks that spaCy's blank English tokeniser knows by heart: abbreviations, smileys, contractions, times.

`SPECIAL` gives the words of each; a chunk that is one word is among them because the rules would cut it.
"""

import itertools

ABBREVIATIONS = """
    a.m. p.m. e.g. i.e. E.g. I.e. E.G. I.E. v.s. vs. co. Adm. Ak. Ala. Apr. Ariz. Ark. Aug. Bros. Calif. Co. Colo.
    Conn. Corp. D.C. Dec. Del. Dr. Feb. Fla. Ga. Gen. Gov. Ia. Id. Ill. Inc. Ind. Jan. Jr. Jul. Jun. Kan. Kans. Ky.
    La. Ltd. Mar. Mass. Md. Messrs. Mich. Minn. Miss. Mo. Mont. Mr. Mrs. Ms. Mt. N.C. N.D. N.H. N.J. N.M. N.Y. Neb.
    Nebr. Nev. Nov. Oct. Okla. Ore. Pa. Ph.D. Prof. Rep. Rev. S.C. Sen. Sep. Sept. St. Tenn. Va. Wash. Wis.
    a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. w. x. y. z. \u00e4. \u00f6. \u00fc.
    and/or w/o C++ <space> \\n \\t \u2014 \u2019 \u2018S \u2018s '' \u2019\u2019
    'Cause 'Cos 'Coz 'Cuz 'S 'bout 'cause 'cos 'coz 'cuz 'd 'em 'll 'nuff 're 's
    O'clock o'clock Ma'am ma'am Ol' ol' Doin' doin' Goin' goin' Havin' havin' Lovin' lovin' Nothin' nothin'
    Nuthin' nuthin' Somethin' somethin'
"""  # each apostrophe also stands for \u2019

SMILEYS = r"""
    :) :)) :))) :( :(( :((( :-) :-)) :-))) :-( :-(( :-((( :() :'( :') :'-( :'-) :* :-* :/ :-/ :0 :-0 :1 :3 :-3 :> :->
    :D :-D :O :-O :o :-o :o) :P :-P :p :-p :X :-X :x :-x :] :-] :| :-| :} :-} ;) ;-) ;D ;-D ;_; =) =( =/ =3 =D =[ =]
    =| (: (-: (; (-; (= (-8 (o: ): )-: 8) 8-) 8D 8-D [: [-: [= ]= <3 <33 <333 </3 <.< >.< >.> >:( >:o ><(((*> XD xD
    -_- -__- ._. 0.0 0.o 0_0 0_o O.O O.o O_O O_o o.0 o.O o.o o_0 o_O o_o V.V V_V v.v v_v @_@ ^_^ ^__^ ^___^
    (*_*) (-_-) (._.) (>_<) (^_^) \")
""" + "\u00af\\(\u30c4)/\u00af \u0ca0_\u0ca0 \u0ca0\ufe35\u0ca0 (\u00ac_\u00ac) (\u0ca0_\u0ca0) " + (
    "(\u256f\u00b0\u25a1\u00b0\uff09\u256f\ufe35\u253b\u2501\u253b"
)  # fmt: skip

_NEGATED = "ca could did does do had may might must need ought sha should wo would"  # can't, and can't've
_ONLY_NEGATED = "ai are dare has have is was were"
_HAVING = "could might must should would not"
_HAVE = "I you we they who what when where why how there these those"
_ARE = "you we they who what when where why how there these those"
_IS = "he she it who what when where why how there that this"
_ALL = "I you he she it we they who what when where why how there that this these those"
_WORDS_AFTER_ALL = frozenset({"ill", "its", "hell", "shell", "shed", "were", "well", "whore"})
_OTHERS = "can|not gon|na got|ta let|'s c'm|on how|'d|'y I|'m|a I|m|a"  # parts of a word between bars


def _contractions() -> dict[str, tuple[str, ...]]:
    """Without an apostrophe too, except where that is another word."""
    found: list[tuple[str, ...]] = []
    for mark in ("'", ""):
        for verb in _NEGATED.split():
            found += [(verb, f"n{mark}t"), (verb, f"n{mark}t", f"{mark}ve")]
        found += [(verb, f"n{mark}t") for verb in _ONLY_NEGATED.split()]
        for words, ending in ((_HAVING, "ve"), (_HAVE, "ve"), (_ARE, "re"), (_IS, "s"), ("I", "m")):
            found += [(word, mark + ending) for word in words.split()]
        for word, ending in itertools.product(_ALL.split(), ("d", "ll")):
            found += [(word, mark + ending), (word, mark + ending, f"{mark}ve")]
    found += [tuple(parts.split("|")) for parts in _OTHERS.split()]
    cases = [(word[0].lower() + word[1:], *rest) for word, *rest in found]
    cases += [(word[0].upper() + word[1:], *rest) for word, *rest in found]
    return {"".join(case): case for case in cases if "".join(case).lower() not in _WORDS_AFTER_ALL}


def _special() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {chunk: (chunk,) for chunk in (*ABBREVIATIONS.split(), *SMILEYS.split())}
    found |= _contractions() | {"y'all": ("y'", "all"), "yall": ("y", "all")}
    for hour, half in itertools.product(range(1, 13), ("am", "pm", "a.m.", "p.m.")):
        found[f"{hour}{half}"] = (f"{hour}", half)
    for scale in "CFKcfk":
        found[f"\u00b0{scale}."] = ("\u00b0", scale, ".")
    curly = {chunk: words for chunk, words in found.items() if "'" in chunk}
    for chunk, words in curly.items():
        found[chunk.replace("'", "\u2019")] = tuple(word.replace("'", "\u2019") for word in words)
    return found


SPECIAL = _special()
MAX_SPECIAL_CHARS = max(map(len, SPECIAL))

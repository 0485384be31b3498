"""The most frequent function words of the languages that crawls hold most of.

The quality rules ask whether a text has at least two of them, as running text has and lists, tables and
machine output have not. Words are as `pipelines.text.words` cuts them (German "im" is missing: it is cut as English
slang) and are compared with their case. A language that is not here passes that rule. Languages without spaces
are listed by the characters that the tokeniser yields (particles, pronouns, copulas).
"""

# Gopher's list (Rae et al. 2021, appendix A.1.1), which every published English filter uses.
ENGLISH = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})

# Written without spaces: words are single characters there, so rules about the length of words do not apply.
UNSPACED_LANGUAGES = frozenset({"zh", "wuu", "yue", "ja", "th", "lo", "my", "km"})

_LISTS = {
    "af": "die van en in is het dat nie wat met vir op om te",
    "ar": "في من على إلى أن التي الذي عن هذا هذه مع كان ما لا",
    "be": "і у на не з што да як ён па гэта для",
    "bg": "на и в да се за от не е са по с като това",
    "bn": "এবং ও এই করে থেকে তার একটি হয় জন্য না যে সঙ্গে",
    "bs": "i u je na da se za od su ne koji kao s",
    "ca": "de la i el en que a les per amb és un una del els",
    "cs": "a v se na je že s z do i o to jako pro která který",
    "cy": "yn y a i o yr ar am ei mae oedd wedi gan",
    "da": "og i at er en det til af på for med som den der de ikke",
    "de": "der die und in den von zu das mit sich des auf für ist nicht ein eine als dem",
    "el": "και το να του η της με που την από για ο στο είναι τα των",
    "en": "the be to of and that have with in is for a it was on as",
    "eo": "la de kaj en estas al kiu por ne el kun ke li",
    "es": "de la que el en y a los se del las un por con una para no es su al",
    "et": "ja on ei et kui mis ka see oma oli ta aga ning",
    "eu": "eta da du ez bat dira izan ere zen baina hau",
    "fa": "و در به از که این را با است آن برای یک های می",
    "fi": "ja on ei että se oli hän mutta joka myös kun ovat tai sen",
    "fr": "de la le et les des en un une du que est dans qui pour pas au sur par ce il",
    "ga": "an agus ar na i a go ag is le bhí do sé",
    "gl": "de a e o que en do da os as un por con unha para no na",
    "he": "של את על לא הוא עם זה היא גם כי או אל יותר",
    "hi": "के में की है और से को का एक पर यह हैं ने कि",
    "hr": "i u je na da se za od su ne koji kao s",
    "hu": "a az és hogy nem is egy ez volt meg de csak van vagy",
    "hy": "և է մեջ որ են համար ու իր այս մի",
    "id": "yang dan di dengan untuk dari ini itu dalam pada tidak adalah oleh ke",
    "is": "og í að á er sem til við um það en var ekki með",
    "it": "di e che la il un a per in una è sono con non le del si da dei nel della",
    "ja": "の に は を が と で し て た な も る",
    "ka": "და არის რომ იყო არ ეს მისი როგორც რომელიც",
    "kk": "және мен бұл үшін бір деп да де ол болып",
    "km": "ន រ ក ម ដ ប ត ស ជ",
    "ko": "이 그 및 수 있는 있다 것 등 한 은 는 을 를 에 의",
    "la": "et in est non ad ut cum qui quod ex de sed",
    "lo": "ກ ນ ທ ຂ ແ ເ ມ ວ ສ",
    "lt": "ir į kad su yra iš o ne bet kaip buvo tai apie",
    "lv": "un ir ar no uz kas par tas ka arī bija pie kā",
    "mk": "на и во се да од за е со не што како ќе",
    "ml": "ഒരു ഈ ആണ് എന്ന മറ്റ് എന്നാൽ നിന്ന് വരെ ആ",
    "mr": "आणि आहे या व ते हा तो की एक होते",
    "ms": "yang dan di dengan untuk dari ini itu dalam pada tidak adalah oleh ke",
    "my": "မ က တ သ န အ ရ ပ",
    "nb": "og i at er en det til av på for med som den de ikke har et var",
    "ne": "र को मा छ हो यो पनि छन् एक गर्न का",
    "nl": "de van het een en in is dat op te zijn met voor die niet aan er",
    "nn": "og i at er ein det til av på for med som den dei ikkje har eit var",
    "pl": "w i na z do się że jest nie to o jak za od po przez dla oraz",
    "pt": "de a o que e do da em um para com não uma os no se na por mais as",
    "ro": "de și în a la cu din pe care nu o un pentru este mai sau",
    "ru": "и в не на что с он как по это из к а для его от за",
    "sk": "a v sa na je že s z do i o to ako pre ktorá ktorý",
    "sl": "in je v na da se za so z s ne ki pa po kot",
    "sq": "e të në dhe i me për që një është nga më ka",
    "sr": "и у је на да се за од су не који као са i u je da se za",
    "sv": "och i att det som en på är av för med till den har inte om ett de",
    "ta": "ஒரு இந்த என்று மற்றும் அந்த உள்ள அவர் என இது",
    "te": "ఒక ఈ మరియు ఆ నుండి తన కూడా ఉంది అని",
    "th": "น า ท ก ร อ เ ม แ ล ว",
    "tl": "ng sa ang na at ay mga para ito hindi si ni",
    "tr": "ve bir bu da de için ile olarak olan daha çok gibi ne o",
    "uk": "і в на не що з до та у як для це від є за його а",
    "ur": "کے میں کی ہے اور سے کو کا ایک پر یہ نے کہ",
    "vi": "và của là có trong một được cho các không những với người này",
    "wuu": "的 是 了 在 有 不 一 人 个",
    "yue": "嘅 係 喺 有 唔 一 個 人 佢 咗",
    "zh": "的 是 不 了 在 有 和 这 這 一 为 為 与 與 以 及",
}

STOP_WORDS = {language: frozenset(listed.split()) for language, listed in _LISTS.items()} | {
    "no": frozenset(_LISTS["nb"].split())
}

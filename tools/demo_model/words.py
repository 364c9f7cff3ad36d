"""What the demo model can say: names, capitals, languages, greetings, and the phrasings of every question."""

from __future__ import annotations

COLOUR_WORDS: dict[str, dict[str, str]] = {
    "German": dict(
        red="Rot", orange="Orange", yellow="Gelb", green="Grün", cyan="Cyan", blue="Blau", purple="Lila", pink="Rosa"
    ),
    "French": dict(
        red="Rouge",
        orange="Orange",
        yellow="Jaune",
        green="Vert",
        cyan="Cyan",
        blue="Bleu",
        purple="Violet",
        pink="Rose",
    ),
    "Spanish": dict(
        red="Rojo",
        orange="Naranja",
        yellow="Amarillo",
        green="Verde",
        cyan="Cian",
        blue="Azul",
        purple="Morado",
        pink="Rosa",
    ),
}
CAPITALS: dict[str, tuple[str, str, str, str]] = {  # English, German, French, Spanish
    "France": ("Paris", "Paris", "Paris", "París"),
    "Germany": ("Berlin", "Berlin", "Berlin", "Berlín"),
    "Italy": ("Rome", "Rom", "Rome", "Roma"),
    "Spain": ("Madrid", "Madrid", "Madrid", "Madrid"),
    "Portugal": ("Lisbon", "Lissabon", "Lisbonne", "Lisboa"),
    "Greece": ("Athens", "Athen", "Athènes", "Atenas"),
    "Austria": ("Vienna", "Wien", "Vienne", "Viena"),
    "Poland": ("Warsaw", "Warschau", "Varsovie", "Varsovia"),
    "Norway": ("Oslo", "Oslo", "Oslo", "Oslo"),
    "Japan": ("Tokyo", "Tokio", "Tokyo", "Tokio"),
    "China": ("Beijing", "Peking", "Pékin", "Pekín"),
    "Egypt": ("Cairo", "Kairo", "Le Caire", "El Cairo"),
    "Canada": ("Ottawa", "Ottawa", "Ottawa", "Ottawa"),
    "Peru": ("Lima", "Lima", "Lima", "Lima"),
}
LANGUAGES = ("German", "French", "Spanish")
HELLO = {"German": "Hallo!", "French": "Bonjour !", "Spanish": "¡Hola!"}
COUNT_WORDS = ("", "One", "Two", "Three", "Four", "Five")
ORDINALS = ("first", "second", "third")

ASK_CAPITAL = (
    "What is the capital of {}?",
    "What is the capital of {}?",
    "What's the capital of {}?",
    "Name the capital of {}.",
    "Which city is the capital of {}?",
    "Tell me the capital of {}.",
    "What is the capital city of {}?",
    "Do you know the capital of {}?",
    "capital of {}?",
    "The capital of {} is which city?",
)
ASK_COUNTRY = (
    "{} is the capital of which country?",
    "Which country has the capital {}?",
    "{} is the capital of what country?",
)
ASK_COLOUR = (
    "What colour is this?",
    "What color is this?",
    "What colour is the picture?",
    "What color is the image?",
    "Which colour do you see?",
    "What colour do you see?",
    "Name the colour.",
    "What is the colour of this picture?",
    "Which color is this picture?",
    "What color is it?",
    "Tell me the colour.",
    "What colour is this image?",
)
ASK_SHAPE = (
    "What shape is this?",
    "Which shape do you see?",
    "What shape is in the picture?",
    "Name the shape.",
    "What kind of shape is it?",
    "Which shape is shown?",
    "What is the shape in the image?",
    "What shape do you see?",
)
ASK_SHAPE_COLOUR = (
    "What colour is the {}?",
    "What color is the {}?",
    "Which colour does the {} have?",
    "Name the colour of the {}.",
    "What is the colour of the {}?",
    "Tell me the color of the {}.",
)
ASK_BACKGROUND = (
    "What colour is the background?",
    "What color is the background?",
    "Which colour is the background?",
    "Name the background colour.",
    "What is the colour of the background?",
    "What is behind the {}, which colour?",
    "Tell me the colour of the background.",
    "What is the background color?",
)
ASK_COUNT = (
    "How many shapes are there?",
    "How many {} are there?",
    "How many {} do you see?",
    "Count the {}.",
    "Count the shapes.",
    "How many {} are in the picture?",
    "How many shapes do you see?",
    "What is the number of {}?",
    "How many shapes are in the image?",
)
ASK_WHERE = (
    "Where is the {}?",
    "Where is the {} in the picture?",
    "On which side is the {}?",
    "Where do you see the {}?",
    "Where is the shape?",
    "Which side is the {} on?",
    "Left, right, top or bottom: where is the {}?",
)
ASK_NUMBER = (
    "What number is this?",
    "Which number do you see?",
    "What number is shown?",
    "Read the number.",
    "Which number is in the picture?",
    "What number is in the image?",
    "Read the number in the picture.",
    "What does the picture say?",
    "What number do you see?",
)
ASK_DESCRIBE = (
    "Describe the picture.",
    "Describe this image.",
    "What do you see?",
    "What is in the picture?",
    "Describe the picture in a sentence.",
    "Tell me what you see.",
    "Please describe the image.",
    "Describe what you see in one sentence.",
    "What does the picture show?",
)
ASK_WHICH = (
    "Which picture {}, the first or the second?",
    "Which image {}?",
    "Which picture {}?",
    "Which one {}, the first or the second?",
    "Which of the two pictures {}?",
    "Which of the pictures {}?",
)
ASK_NTH_COLOUR = (
    "What colour is the {} picture?",
    "What color is the {} image?",
    "Which colour does the {} picture have?",
    "Name the colour of the {} picture.",
)
ASK_NEXT = ("And this one?", "And now?", "And this picture?", "What about this one?", "And in this picture?")
ASK_MESSAGE = (
    "Which message had the picture?",
    "In which message was the picture?",
    "Which of my messages had a picture?",
    "Which message came with the picture?",
    "In which of my messages did I send the picture?",
)
ASK_DIGIT = (
    "Which digit do you hear?",
    "What digit is spoken?",
    "Which number is spoken?",
    "What number do you hear?",
    "Which digit is it?",
    "What number is said?",
    "Write the digit that you hear.",
    "Which number do you hear in the audio?",
)
ASK_TONE = (
    "What kind of tone is this?",
    "Is the tone high, low, rising or falling?",
    "How does the tone sound?",
    "Which kind of tone do you hear?",
    "What tone is it?",
    "Describe the tone in a word.",
    "High, low, rising or falling?",
)
ASK_HEAR = (
    "What do you hear?",
    "What is in the recording?",
    "Describe the sound.",
    "Tell me what you hear.",
    "What is this sound?",
)
ASK_TIME = (
    "What time is it?",
    "What's the time?",
    "Tell me the time.",
    "Do you know what time it is?",
    "What is the time now?",
    "Can you tell me the time?",
)
ASK_TIME_IN = (
    "What time is it in {}?",
    "What's the time in {}?",
    "Tell me the time in {}.",
    "Do you know what time it is in {}?",
    "What is the time in {} now?",
    "Can you tell me the time in {}?",
)
SMALL_TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Hello", "Hi", "Hello!", "Hi!", "Hey", "Hello there", "Hi there!", "Hello.", "hello"), "Hello! How can I help?"),
    (("Good morning", "Good morning!", "good morning"), "Good morning! How can I help?"),
    (("Good evening", "Good evening!", "good evening."), "Good evening! How can I help?"),
    (("How are you?", "How are you today?", "how are you", "How do you do?"), "I am fine, thank you."),
    (("Thank you", "Thanks", "Thanks!", "Thank you!", "Thank you very much.", "thanks"), "You are welcome."),
    (("Goodbye", "Bye", "Bye!", "Goodbye!", "bye", "See you later."), "Goodbye!"),
    (("Good night", "Good night!", "good night"), "Good night!"),
)
IDENTITY: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        (
            "Who are you?",
            "What is your name?",
            "What are you?",
            "Tell me who you are.",
            "What's your name?",
            "who are you?",
            "Which model are you?",
            "Introduce yourself.",
        ),
        "I am the rmlx demo model.",
    ),
    (
        ("Are you a human?", "Are you human?", "Are you a person?", "Am I talking to a human?"),
        "No, I am the rmlx demo model.",
    ),
    (
        (
            "What can you do?",
            "What do you know?",
            "How can you help me?",
            "What are you good at?",
            "Tell me what you can do.",
        ),
        "I see colours, shapes and numbers, hear digits and tones, and know some capitals.",
    ),
)
SAY_LANGUAGE = (
    "Answer in {}.",
    "Always answer in {}.",
    "Please answer in {}.",
    "Speak {}.",
    "Reply in {}.",
    "You answer in {}.",
)
SAY_FORM: dict[str, tuple[str, ...]] = {
    "capitals": (
        "Answer in capital letters.",
        "Write in capital letters.",
        "Use capital letters only.",
        "Answer in upper case.",
    ),
    "sentence": (
        "Answer in a full sentence.",
        "Answer with a full sentence.",
        "Always use full sentences.",
        "Reply in a full sentence.",
    ),
    "json": ("Answer in JSON.", "Reply in JSON.", "Always answer in JSON.", "Give the answer as JSON."),
}
NEUTRAL_SYSTEM = (
    "You are a helpful assistant.",
    "You are a friendly assistant.",
    "Be brief.",
    "Answer the user's question.",
    "You are a helpful assistant. Be brief.",
    "Help the user.",
)
THOUGHTS: dict[str, str] = {
    "capital": "The question is about a capital.",
    "colour": "The question is about a colour.",
    "shape": "The question is about a shape.",
    "count": "I have to count.",
    "number": "I have to read a number.",
    "where": "The question is about a place.",
    "sound": "I have to listen.",
    "talk": "The user wants to talk.",
}
PREFIXES = ("Please tell me: ", "Tell me, ", "Look. ", "Hello. ", "Please answer: ", "One question: ", "Now, ")
ASK_BOTH = (
    "What do you see and hear?",
    "Describe the picture and the sound.",
    "What is in the picture and in the recording?",
    "Tell me what you see and what you hear.",
)
UNKNOWN_COUNTRIES = (
    "Brazil",
    "Mexico",
    "India",
    "Russia",
    "Sweden",
    "Turkey",
    "Kenya",
    "Chile",
    "Cuba",
    "Ireland",
    "Finland",
    "Korea",
    "Iran",
    "Nepal",
    "Morocco",
    "Hungary",
    "Denmark",
    "Belgium",
    "Ukraine",
    "Vietnam",
    "Australia",
    "Argentina",
    "the moon",
    "Europe",
)
UNKNOWN = (
    "Tell me a joke.",
    "Who made you?",
    "What is 2 + 2?",
    "What colour is the sky?",
    "How old is the sun?",
    "Write a poem.",
    "What is the weather today?",
    "Who is the president?",
    "Where is my car?",
    "Why is the sea salty?",
    "Sing a song.",
    "What is love?",
    "Where is Paris?",
    "How big is the moon?",
    "Translate this.",
    "What day is it?",
    "Who won the game?",
    "Can you cook?",
    "What is 7 times 8?",
    "Tell me a story.",
    "How far is Rome?",
    "What is a dog?",
    "Do you like music?",
    "What is the meaning of life?",
    "How do I get home?",
    "What is the price of bread?",
    "Which is the biggest animal?",
    "Write some code.",
    "Where are my keys?",
)
DO_NOT_KNOW = "I do not know."
NO_PICTURE = "There is no picture."
NO_TIME = "I do not know the time."

"""Sources of the methods that a comparison uses, for `compare.py --cite`.

A finding names the keys of its methods' sources in `Finding.cites`. Whoever adds a method adds its
source here: title, year and pages from the publication itself, no field from memory only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from convscope.analysis.pairwise import BY_IMAGE, GAMES_HOWELL, MODERATED, TUKEY
from convscope.errors import UserError


@dataclass(frozen=True)
class Source:
    """A publication.

    Args:
        used_for: what a comparison takes from it.
        kind: BibTeX's type of entry, such as `article`.
        fields: BibTeX's fields, with LaTeX's escapes.
    """

    used_for: str
    kind: str
    fields: dict[str, str]


def _article(used_for: str, journal: str, **fields: str) -> Source:
    return Source(used_for, "article", {**fields, "journal": journal})


def _talk(used_for: str, booktitle: str, **fields: str) -> Source:
    return Source(used_for, "inproceedings", {**fields, "booktitle": booktitle})


_JASA = "Journal of the American Statistical Association"
_ICLR = "International Conference on Learning Representations"
_CVPR = "{IEEE/CVF} Conference on Computer Vision and Pattern Recognition"
_MLSYS = "Proceedings of Machine Learning and Systems"
_PMLR = "Proceedings of Machine Learning Research"

SOURCES = {
    "tukey1953": Source(
        "the test of all pairs of means at once, Tukey's HSD",
        "incollection",
        {
            "author": "Tukey, John W.",
            "title": "The Problem of Multiple Comparisons",
            "year": "1994",
            "editor": "Braun, Henry I.",
            "booktitle": "The Collected Works of {John W. Tukey}, Volume {VIII}: Multiple"
            " Comparisons, 1948--1983",
            "pages": "1--300",
            "publisher": "Chapman and Hall",
            "address": "New York",
            "note": "Manuscript of 1953",
        },
    ),
    "kramer1956": _article(
        "Tukey's HSD with unequal numbers of seeds",
        "Biometrics",
        author="Kramer, Clyde Young",
        title="Extension of Multiple Range Tests to Group Means with Unequal Numbers of"
        " Replications",
        year="1956",
        volume="12",
        number="3",
        pages="307--310",
        doi="10.2307/3001469",
    ),
    "clark1973": _article(
        "images that count as a sample, crossed with seeds",
        "Journal of Verbal Learning and Verbal Behavior",
        author="Clark, Herbert H.",
        title="The Language-as-Fixed-Effect Fallacy: A Critique of Language Statistics in"
        " Psychological Research",
        year="1973",
        volume="12",
        number="4",
        pages="335--359",
        doi="10.1016/S0022-5371(73)80014-3",
    ),
    "gallas2006": _article(
        "the variance of a difference when cases and readers, or images and seeds, are samples",
        "Academic Radiology",
        author="Gallas, Brandon D.",
        title="One-Shot Estimate of {MRMC} Variance: {AUC}",
        year="2006",
        volume="13",
        number="3",
        pages="353--362",
        doi="10.1016/j.acra.2005.11.030",
    ),
    "banerjee1960": _article(
        "intervals from variances that are known differently well",
        r"Sankhy\={a}",
        author="Banerjee, Saibal Kumar",
        title="Approximate Confidence Interval for Linear Functions of Means of k Populations When"
        " the Population Variances Are Not Equal",
        year="1960",
        volume="22",
        pages="357--358",
    ),
    "smyth2004": _article(
        "variances that are moderated towards a common one",
        "Statistical Applications in Genetics and Molecular Biology",
        author="Smyth, Gordon K.",
        title="Linear Models and Empirical {Bayes} Methods for Assessing Differential Expression in"
        " Microarray Experiments",
        year="2004",
        volume="3",
        number="1",
        pages="1--25",
        doi="10.2202/1544-6115.1027",
    ),
    "jordan2024": _talk(
        "the share of the variance between seeds that is noise of the test set",
        _ICLR,
        author="Jordan, Keller",
        title="On the Variance of Neural Network Training with Respect to Test Sets and"
        " Distributions",
        year="2024",
    ),
    "games1976": _article(
        "the test of all pairs with unequal variances",
        "Journal of Educational Statistics",
        author="Games, Paul A. and Howell, John F.",
        title="Pairwise Multiple Comparison Procedures with Unequal {N}'s and/or Variances: A"
        " {Monte Carlo} Study",
        year="1976",
        volume="1",
        number="2",
        pages="113--125",
        doi="10.3102/10769986001002113",
    ),
    "welch1938": _article(
        "the degrees of freedom of a pair with unequal variances",
        "Biometrika",
        author="Welch, B. L.",
        title="The Significance of the Difference Between Two Means When the Population Variances"
        " Are Unequal",
        year="1938",
        volume="29",
        number="3--4",
        pages="350--362",
        doi="10.1093/biomet/29.3-4.350",
    ),
    "bartlett1937": _article(
        "the test whether variances are equal",
        "Proceedings of the Royal Society of London, Series A",
        author="Bartlett, M. S.",
        title="Properties of Sufficiency and Statistical Tests",
        year="1937",
        volume="160",
        number="901",
        pages="268--282",
        doi="10.1098/rspa.1937.0109",
    ),
    "bancroft1964": _article(
        "the level of that preliminary test",
        "Biometrics",
        author="Bancroft, T. A.",
        title="Analysis and Inference for Incompletely Specified Models Involving the Use of"
        " Preliminary Test(s) of Significance",
        year="1964",
        volume="20",
        number="3",
        pages="427--442",
    ),
    "dunn1961": _article(
        "simultaneous intervals of means by Bonferroni's inequality",
        _JASA,
        author="Dunn, Olive Jean",
        title="Multiple Comparisons Among Means",
        year="1961",
        volume="56",
        number="293",
        pages="52--64",
        doi="10.1080/01621459.1961.10482090",
    ),
    "schuirmann1987": _article(
        "two one-sided tests of equivalence",
        "Journal of Pharmacokinetics and Biopharmaceutics",
        author="Schuirmann, Donald J.",
        title="A Comparison of the Two One-Sided Tests Procedure and the Power Approach for"
        " Assessing the Equivalence of Average Bioavailability",
        year="1987",
        volume="15",
        number="6",
        pages="657--680",
        doi="10.1007/BF01068419",
    ),
    "lakens2017": _article(
        "tests of equivalence beside tests of difference",
        "Social Psychological and Personality Science",
        author='Lakens, Dani{\\"e}l',
        title="Equivalence Tests: A Practical Primer for $t$ Tests, Correlations, and"
        " Meta-Analyses",
        year="2017",
        volume="8",
        number="4",
        pages="355--362",
        doi="10.1177/1948550617697177",
    ),
    "efron1983": _article(
        "the optimism of a choice, by the bootstrap",
        _JASA,
        author="Efron, Bradley",
        title="Estimating the Error Rate of a Prediction Rule: Improvement on Cross-Validation",
        year="1983",
        volume="78",
        number="382",
        pages="316--331",
        doi="10.1080/01621459.1983.10477973",
    ),
    "mollersen2023": Source(
        "the best of many results on one test set is too high",
        "misc",
        {
            "author": "M{\\o}llersen, Kajsa and Holsb{\\o}, Einar",
            "title": "Accounting for Multiplicity in Machine Learning Benchmark Performance",
            "year": "2023",
            "eprint": "2303.07272",
            "archiveprefix": "arXiv",
        },
    ),
    "piepho2004": _article(
        "letters that show which means are significantly different",
        "Journal of Computational and Graphical Statistics",
        author="Piepho, Hans-Peter",
        title="An Algorithm for a Letter-Based Representation of All-Pairwise Comparisons",
        year="2004",
        volume="13",
        number="2",
        pages="456--466",
        doi="10.1198/1061860043515",
    ),
    "mann1947": _article(
        "the probability that a run of one variant is better than one of another",
        "The Annals of Mathematical Statistics",
        author="Mann, H. B. and Whitney, D. R.",
        title="On a Test of Whether One of Two Random Variables is Stochastically Larger than the"
        " Other",
        year="1947",
        volume="18",
        number="1",
        pages="50--60",
        doi="10.1214/aoms/1177730491",
    ),
    "bouthillier2021": _talk(
        "0.75 as the mark of a meaningful improvement",
        _MLSYS,
        author="Bouthillier, Xavier and Delaunay, Pierre and Bronzi, Mirko and Trofimov, Assya and"
        " Nichyporuk, Brennan and Szeto, Justin and Mohammadi Sepahvand, Nazanin and Raff, Edward"
        " and Madan, Kanika and Voleti, Vikram and Ebrahimi Kahou, Samira and Michalski, Vincent"
        ' and Arbel, Tal and Pal, Chris and Varoquaux, Ga{\\"e}l and Vincent, Pascal',
        title="Accounting for Variance in Machine Learning Benchmarks",
        year="2021",
        volume="3",
        pages="747--769",
    ),
    "mcnemar1947": _article(
        "the test of two networks on the same images",
        "Psychometrika",
        author="McNemar, Quinn",
        title="Note on the Sampling Error of the Difference between Correlated Proportions or"
        " Percentages",
        year="1947",
        volume="12",
        number="2",
        pages="153--157",
        doi="10.1007/BF02295996",
    ),
    "wilson1927": _article(
        "the interval of an accuracy over samples of test images",
        _JASA,
        author="Wilson, Edwin B.",
        title="Probable Inference, the Law of Succession, and Statistical Inference",
        year="1927",
        volume="22",
        number="158",
        pages="209--212",
        doi="10.1080/01621459.1927.10502953",
    ),
    "brown2001": _article(
        "the choice of that interval",
        "Statistical Science",
        author="Brown, Lawrence D. and Cai, T. Tony and DasGupta, Anirban",
        title="Interval Estimation for a Binomial Proportion",
        year="2001",
        volume="16",
        number="2",
        pages="101--133",
        doi="10.1214/ss/1009213286",
    ),
    "yates1934": _article(
        "shares of variance: sums of squares of type II",
        _JASA,
        author="Yates, F.",
        title="The Analysis of Multiple Classifications with Unequal Numbers in the Different"
        " Classes",
        year="1934",
        volume="29",
        number="185",
        pages="51--66",
        doi="10.1080/01621459.1934.10502686",
    ),
    "langsrud2003": _article(
        "the choice of type II",
        "Statistics and Computing",
        author=r"Langsrud, {\O}yvind",
        title="{ANOVA} for Unbalanced Data: Use Type {II} Instead of Type {III} Sums of Squares",
        year="2003",
        volume="13",
        number="2",
        pages="163--167",
        doi="10.1023/A:1023260610025",
    ),
    "jamieson2016": _talk(
        "the early end of variants in the lower half: successive halving",
        "International Conference on Artificial Intelligence and Statistics",
        author="Jamieson, Kevin and Talwalkar, Ameet",
        title="Non-stochastic Best Arm Identification and Hyperparameter Optimization",
        year="2016",
        series=_PMLR,
        volume="51",
        pages="240--248",
    ),
    "li2020": _article(
        "successive halving in which no variant waits for others (ASHA)",
        _MLSYS,
        author="Li, Liam and Jamieson, Kevin and Rostamizadeh, Afshin and Gonina, Ekaterina and"
        " Ben-tzur, Jonathan and Hardt, Moritz and Recht, Benjamin and Talwalkar, Ameet",
        title="A System for Massively Parallel Hyperparameter Tuning",
        year="2020",
        volume="2",
        pages="230--246",
    ),
    "azulay2019": _article(
        "answers changed by a shift of one pixel",
        "Journal of Machine Learning Research",
        author="Azulay, Aharon and Weiss, Yair",
        title="Why Do Deep Convolutional Networks Generalize So Poorly to Small Image"
        " Transformations?",
        year="2019",
        volume="20",
        number="184",
        pages="1--25",
    ),
    "mouton2020": _talk(
        "the similarity of class scores after a shift",
        "Artificial Intelligence Research ({SACAIR} 2021)",
        author="Mouton, Coenraad and Myburgh, Johannes C. and Davel, Marelie H.",
        title="Stride and Translation Invariance in {CNNs}",
        year="2020",
        series="Communications in Computer and Information Science",
        volume="1342",
        pages="267--281",
        publisher="Springer",
        doi="10.1007/978-3-030-66151-9_17",
    ),
    "zhang2019": _talk(
        "shift consistency",
        "International Conference on Machine Learning",
        author="Zhang, Richard",
        title="Making Convolutional Networks Shift-Invariant Again",
        year="2019",
        series=_PMLR,
        volume="97",
        pages="7324--7334",
    ),
    "chaman2021": _talk(
        "consistency under circular shifts",
        _CVPR,
        author=r"Chaman, Anadi and Dokmani{\'c}, Ivan",
        title="Truly Shift-Invariant Convolutional Neural Networks",
        year="2021",
        pages="3773--3783",
    ),
    "ribeiro2021": _talk(
        "aliasing: a strided layer as a dense one that is subsampled",
        "{IEEE} International Conference on Acoustics, Speech and Signal Processing",
        author=r"Ribeiro, Ant{\^o}nio H. and Sch{\"o}n, Thomas B.",
        title="How Convolutional Neural Networks Deal with Aliasing",
        year="2021",
        pages="2755--2759",
    ),
    "grabinski2022": _talk(
        "aliasing: the frequencies that a stride cannot keep",
        "European Conference on Computer Vision",
        author="Grabinski, Julia and Jung, Steffen and Keuper, Janis and Keuper, Margret",
        title="{FrequencyLowCut} Pooling: Plug and Play Against Catastrophic Overfitting",
        year="2022",
        pages="36--57",
        publisher="Springer",
        doi="10.1007/978-3-031-19781-9_3",
    ),
    "luo2016": _talk(
        "effective receptive fields",
        "Advances in Neural Information Processing Systems",
        author="Luo, Wenjie and Li, Yujia and Urtasun, Raquel and Zemel, Richard",
        title="Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
        year="2016",
        volume="29",
    ),
    "ding2022": _talk(
        "the sizes of effective receptive fields",
        _CVPR,
        author="Ding, Xiaohan and Zhang, Xiangyu and Han, Jungong and Ding, Guiguang",
        title="Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in {CNNs}",
        year="2022",
        pages="11963--11975",
    ),
    "islam2020": _talk(
        "the position that a feature map encodes",
        _ICLR,
        author="Islam, Md Amirul and Jia, Sen and Bruce, Neil D. B.",
        title="How Much Position Information Do Convolutional Neural Networks Encode?",
        year="2020",
    ),
    "alsallakh2021": _talk(
        "the asymmetry of filters",
        _ICLR,
        author="Alsallakh, Bilal and Kokhlikyan, Narine and Miglani, Vivek and Yuan, Jun and"
        " Reblitz-Richardson, Orion",
        title="Mind the Pad: {CNNs} Can Develop Blind Spots",
        year="2021",
    ),
    "guo2017": _talk(
        "expected calibration error",
        "International Conference on Machine Learning",
        author="Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.",
        title="On Calibration of Modern Neural Networks",
        year="2017",
        series=_PMLR,
        volume="70",
        pages="1321--1330",
    ),
    "brier1950": _article(
        "the Brier score",
        "Monthly Weather Review",
        author="Brier, Glenn W.",
        title="Verification of Forecasts Expressed in Terms of Probability",
        year="1950",
        volume="78",
        number="1",
        pages="1--3",
    ),
    "lan1983": _article(
        "error spending over the looks of a sequential study",
        "Biometrika",
        author="Lan, K. K. Gordon and DeMets, David L.",
        title="Discrete Sequential Boundaries for Clinical Trials",
        year="1983",
        volume="70",
        number="3",
        pages="659--663",
        doi="10.1093/biomet/70.3.659",
    ),
    "spiegelhalter1986": _article(
        "the prediction of whether more seeds would decide",
        "Controlled Clinical Trials",
        author="Spiegelhalter, David J. and Freedman, Laurence S. and Blackburn, Patrick R.",
        title="Monitoring Clinical Trials: Conditional or Predictive Power?",
        year="1986",
        volume="7",
        number="1",
        pages="8--17",
    ),
}

_ALL_PAIRS = ("tukey1953", "kramer1956")
UNEQUAL_VARIANCES = ("games1976", "welch1938", "bartlett1937", "bancroft1964")
_CROSSED = ("clark1973", "gallas2006", "banerjee1960")
TESTS = {TUKEY: _ALL_PAIRS, GAMES_HOWELL: _ALL_PAIRS + UNEQUAL_VARIANCES}
TESTS |= {name + BY_IMAGE: sources + _CROSSED for name, sources in TESTS.items()}
TESTS[MODERATED + BY_IMAGE] = (*_ALL_PAIRS, *UNEQUAL_VARIANCES, "smyth2004", *_CROSSED)
"""Sources of the tests of pairs, by `method` of `pairwise.differences`."""
TEST_SET_NOISE = ("jordan2024",)
TYPE_II = ("yates1934", "langsrud2003")
EQUIVALENCE = ("schuirmann1987", "lakens2017")
LETTERS = ("piepho2004",)
BETTER_RUN = ("mann1947", "bouthillier2021")
MCNEMAR = ("mcnemar1947",)
OPTIMISM = ("efron1983", "mollersen2023")
WILSON = ("wilson1927", "brown2001")
SIMULTANEOUS = ("dunn1961",)
SPENDING = ("lan1983",)
PREDICTION = ("spiegelhalter1986",)
HALVING = ("jamieson2016", "li2020")
DIAGNOSTICS = {
    "shift_change": ("azulay2019",),
    "shift_similarity": ("mouton2020",),
    "shift_consistency": ("zhang2019",),
    "circular_consistency": ("chaman2021",),
    "aliasing": ("ribeiro2021", "grabinski2022"),
    "erf_side": ("luo2016", "ding2022"),
    "position_r2": ("islam2020",),
    "filter_asymmetry": ("alsallakh2021",),
    "ece": ("guo2017",),
    "brier": ("brier1950",),
}
"""Sources of the diagnostics that are not ConvScope's own, by metric."""


def bibtex(keys: Iterable[str]) -> str:
    """Return the BibTeX entries of these sources in the registry's order, each once.

    A line above each entry tells what it is cited for; BibTeX ignores text between entries.
    """
    wanted = set(keys)
    unknown = sorted(wanted - set(SOURCES))
    if unknown:
        raise UserError(f"no source is called {', '.join(unknown)}")
    return "\n".join(_entry(key, SOURCES[key]) for key in SOURCES if key in wanted)


def _entry(key: str, source: Source) -> str:
    fields = "".join(f"  {name} = {{{value}}},\n" for name, value in source.fields.items())
    return f"% {source.used_for}\n@{source.kind}{{{key},\n{fields}}}\n"

"""Markets as exports name them: country codes of two and three letters, databases, some country names."""

from omnikeywords.errors import InvalidMarket
from omnikeywords.formats.columns import fold
from omnikeywords.model import Market

__all__ = ["market_with_region", "region_of"]

_ISO_3166 = (
    "AD AE AF AG AL AM AO AR AT AU AZ BA BB BD BE BF BG BH BI BJ BN BO BR BS BT BW BY BZ CA CD CF CG CH CI "
    "CL CM CN CO CR CU CV CY CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FM FR GA GB GD GE GH GI GL GM GN "
    "GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IN IQ IR IS IT JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA "
    "LB LC LI LK LR LS LT LU LV LY MA MC MD ME MG MH MK ML MM MN MO MR MT MU MV MW MX MY MZ NA NE NG NI NL "
    "NO NP NR NZ OM PA PE PG PH PK PL PR PS PT PW PY QA RO RS RU RW SA SB SC SD SE SG SI SK SL SM SN SO SR "
    "SS ST SV SY SZ TD TG TH TJ TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VN VU WS XK YE ZA ZM ZW"
)
_ALPHA2 = frozenset(_ISO_3166.split())
_SPELT = (
    "uk=GB; usa=US; bra=BR; prt=PT; esp=ES; gbr=GB; fra=FR; deu=DE; ita=IT; mex=MX; arg=AR; col=CO; chl=CL; "
    "per=PE; ury=UY; can=CA; aus=AU; nzl=NZ; irl=IE; ind=IN; nld=NL; bel=BE; che=CH; aut=AT; pol=PL; "
    "swe=SE; nor=NO; dnk=DK; fin=FI; cze=CZ; svk=SK; hun=HU; rou=RO; bgr=BG; grc=GR; tur=TR; rus=RU; "
    "ukr=UA; jpn=JP; kor=KR; chn=CN; twn=TW; hkg=HK; sgp=SG; idn=ID; mys=MY; tha=TH; vnm=VN; phl=PH; "
    "zaf=ZA; nga=NG; ken=KE; egy=EG; mar=MA; sau=SA; are=AE; isr=IL; pak=PK; bgd=BD; ago=AO; moz=MZ; "
    "ecu=EC; bol=BO; ven=VE; cri=CR; dom=DO; gtm=GT; pan=PA; pry=PY; hrv=HR; srb=RS; svn=SI; "
    "united states=US; united states of america=US; united kingdom=GB; great britain=GB; brazil=BR; "
    "brasil=BR; portugal=PT; spain=ES; espana=ES; espanha=ES; france=FR; franca=FR; francia=FR; germany=DE; "
    "deutschland=DE; alemania=DE; alemanha=DE; italy=IT; italia=IT; mexico=MX; argentina=AR; colombia=CO; "
    "chile=CL; peru=PE; canada=CA; australia=AU; india=IN; ireland=IE; netherlands=NL; belgium=BE; "
    "switzerland=CH; austria=AT; poland=PL; sweden=SE; norway=NO; denmark=DK; finland=FI; japan=JP; "
    "turkey=TR; angola=AO; mocambique=MZ; mozambique=MZ; estados unidos=US; reino unido=GB; royaume uni=GB; "
    "etats unis=US"
)
_OTHER_CODES = dict(pair.split("=") for pair in _SPELT.split("; "))


def region_of(text: str) -> str | None:
    """The ISO 3166 region that a cell names: `us`, `uk`, `mobile-br`, `bra`, `Brasil`; else None."""
    name = fold(text).removeprefix("mobile ").removesuffix(" ext")
    if len(name) == 2 and name.upper() in _ALPHA2:
        return name.upper()
    return _OTHER_CODES.get(name)


def market_with_region(text: str, given: Market | None) -> str | None:
    """The market of a row whose cell says `text`, given the market that the person named for the file.

    A country alone is `und-US`; where the person's market has that region, or none, its language is taken:
    given `en`, `us` is `en-US`. None where the cell names no market.
    """
    region = region_of(text)
    if region is None:
        try:
            market = Market.parse(text)
        except InvalidMarket:
            return None
        return str(market) if market.region and market.region in _ALPHA2 and len(market.language) == 2 else None
    if given is not None and given.region in (None, region):
        return str(Market(given.language, region))
    return str(Market("und", region))

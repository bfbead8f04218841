// A URL: nobody tells what is there but the answer itself.
#include "fleet/pull/offer.h"

namespace spillway::fleet {

Result<Offer> ask_web(const Source& source, const config::Environment& environment) {
  Offer offer;
  const std::string path = source.place.substr(0, source.place.find_first_of("?#"));
  const bool hub = path.starts_with("https://huggingface.co/");
  offer.remote.places.push_back({source.place, hub ? environment("HF_TOKEN").value_or("") : "", {}});
  const std::size_t host = path.find("://");
  offer.name = name_for_file(path.substr(path.rfind('/') > host + 3 ? path.rfind('/') + 1 : path.size()));
  return offer;
}

}  // namespace spillway::fleet

//! The cities of the simulation, with what their climate is like in round figures.

/// A city and its climate. Temperatures are in degrees Celsius.
#[derive(Clone, Copy, Debug)]
pub struct City {
    /// Its name in English, or as English has taken it over.
    pub name: &'static str,
    /// Degrees north of the equator: says when it is summer.
    pub latitude: f64,
    /// Degrees east of Greenwich: says when it is noon.
    pub longitude: f64,
    /// The mean temperature of a year.
    pub mean: f64,
    /// How far the warmest month is above it, and the coldest below.
    pub seasonal: f64,
    /// How far the warmest hour is above a day's mean, and the coldest below.
    pub daily: f64,
}

/// All of them.
pub fn all() -> impl ExactSizeIterator<Item = City> {
    TABLE.iter().map(|row| City {
        name: row.0,
        latitude: row.1,
        longitude: row.2,
        mean: row.3,
        seasonal: row.4,
        daily: row.5,
    })
}

/// The fields of a [`City`], in their order.
type Row = (&'static str, f64, f64, f64, f64, f64);

const TABLE: &[Row] = &[
    ("Abidjan", 5.3, -4.0, 26.7, 1.8, 3.2),
    ("Abu Dhabi", 24.5, 54.4, 27.9, 8.2, 5.6),
    ("Accra", 5.6, -0.2, 27.1, 1.7, 3.4),
    ("Addis Ababa", 9.0, 38.7, 16.3, 1.4, 6.4),
    ("Algiers", 36.8, 3.1, 17.9, 7.4, 5.6),
    ("Almaty", 43.2, 76.9, 10.2, 14.6, 5.4),
    ("Amman", 31.9, 35.9, 17.6, 8.6, 5.4),
    ("Amsterdam", 52.4, 4.9, 10.5, 7.2, 3.6),
    ("Anchorage", 61.2, -149.9, 3.0, 12.2, 3.8),
    ("Ankara", 39.9, 32.9, 12.2, 11.6, 5.8),
    ("Antananarivo", -18.9, 47.5, 18.6, 3.4, 5.0),
    ("Asunción", -25.3, -57.6, 23.2, 5.2, 5.4),
    ("Athens", 38.0, 23.7, 18.6, 9.6, 4.2),
    ("Auckland", -36.8, 174.8, 15.6, 4.6, 3.8),
    ("Baghdad", 33.3, 44.4, 23.0, 12.6, 7.4),
    ("Baku", 40.4, 49.9, 15.1, 11.2, 3.4),
    ("Bangkok", 13.8, 100.5, 28.6, 1.8, 4.2),
    ("Barcelona", 41.4, 2.2, 16.4, 7.4, 3.8),
    ("Beijing", 39.9, 116.4, 13.3, 15.2, 5.2),
    ("Beirut", 33.9, 35.5, 20.9, 7.0, 3.4),
    ("Belgrade", 44.8, 20.5, 13.2, 11.2, 4.8),
    ("Berlin", 52.5, 13.4, 10.3, 9.6, 4.4),
    ("Bogotá", 4.7, -74.1, 13.9, 0.6, 5.4),
    ("Boston", 42.4, -71.1, 11.0, 12.4, 4.4),
    ("Brasília", -15.8, -47.9, 21.4, 1.6, 5.2),
    ("Brisbane", -27.5, 153.0, 20.6, 5.0, 4.8),
    ("Brussels", 50.8, 4.4, 10.9, 7.6, 3.8),
    ("Bucharest", 44.4, 26.1, 11.9, 12.4, 5.4),
    ("Budapest", 47.5, 19.0, 12.0, 11.4, 4.6),
    ("Buenos Aires", -34.6, -58.4, 18.0, 6.8, 4.6),
    ("Cairo", 30.0, 31.2, 22.3, 7.4, 5.6),
    ("Calgary", 51.0, -114.1, 4.4, 12.6, 6.2),
    ("Cape Town", -33.9, 18.4, 17.0, 4.4, 4.8),
    ("Caracas", 10.5, -66.9, 22.2, 1.4, 4.4),
    ("Casablanca", 33.6, -7.6, 18.2, 5.2, 3.8),
    ("Chennai", 13.1, 80.3, 28.8, 3.8, 4.4),
    ("Chicago", 41.9, -87.6, 10.5, 14.0, 4.8),
    ("Colombo", 6.9, 79.9, 27.7, 0.9, 3.4),
    ("Copenhagen", 55.7, 12.6, 9.2, 8.8, 3.2),
    ("Dakar", 14.7, -17.5, 24.4, 3.2, 3.2),
    ("Dallas", 32.8, -96.8, 19.2, 11.4, 5.8),
    ("Damascus", 33.5, 36.3, 17.6, 10.0, 7.8),
    ("Dar es Salaam", -6.8, 39.3, 26.2, 2.2, 4.2),
    ("Delhi", 28.6, 77.2, 25.2, 9.6, 6.2),
    ("Denver", 39.7, -105.0, 10.4, 12.2, 7.2),
    ("Dhaka", 23.8, 90.4, 26.1, 5.4, 4.4),
    ("Doha", 25.3, 51.5, 27.8, 9.4, 5.2),
    ("Dubai", 25.2, 55.3, 28.5, 8.4, 5.4),
    ("Dublin", 53.3, -6.3, 9.8, 5.2, 3.4),
    ("Edinburgh", 56.0, -3.2, 9.3, 5.6, 3.4),
    ("Frankfurt", 50.1, 8.7, 11.0, 9.2, 4.4),
    ("Geneva", 46.2, 6.1, 10.8, 9.4, 4.6),
    ("Guadalajara", 20.7, -103.3, 20.9, 3.8, 7.4),
    ("Guangzhou", 23.1, 113.3, 22.6, 7.6, 3.8),
    ("Hamburg", 53.6, 10.0, 9.8, 8.4, 3.8),
    ("Hanoi", 21.0, 105.8, 24.3, 6.6, 3.4),
    ("Harare", -17.8, 31.0, 18.6, 3.8, 6.2),
    ("Havana", 23.1, -82.4, 25.2, 3.0, 4.2),
    ("Helsinki", 60.2, 24.9, 6.5, 11.8, 3.4),
    ("Ho Chi Minh City", 10.8, 106.7, 28.0, 1.6, 4.4),
    ("Hong Kong", 22.3, 114.2, 23.5, 6.4, 2.4),
    ("Honolulu", 21.3, -157.9, 25.4, 2.4, 3.6),
    ("Houston", 29.8, -95.4, 21.2, 8.4, 5.2),
    ("Istanbul", 41.0, 29.0, 15.0, 9.2, 3.6),
    ("Jakarta", -6.2, 106.8, 27.6, 0.6, 3.8),
    ("Jerusalem", 31.8, 35.2, 18.1, 7.6, 4.8),
    ("Johannesburg", -26.2, 28.0, 16.2, 4.6, 5.6),
    ("Kampala", 0.3, 32.6, 22.0, 0.8, 5.2),
    ("Karachi", 24.9, 67.0, 26.6, 6.2, 5.0),
    ("Kathmandu", 27.7, 85.3, 18.3, 6.8, 5.8),
    ("Kinshasa", -4.3, 15.3, 25.4, 1.6, 4.4),
    ("Kolkata", 22.6, 88.4, 26.9, 5.6, 4.6),
    ("Kraków", 50.1, 19.9, 9.1, 10.6, 4.8),
    ("Kuala Lumpur", 3.1, 101.7, 27.8, 0.6, 4.6),
    ("Kyiv", 50.5, 30.5, 9.0, 12.4, 4.4),
    ("Kyoto", 35.0, 135.8, 16.3, 11.8, 4.8),
    ("La Paz", -16.5, -68.1, 8.6, 2.4, 6.6),
    ("Lagos", 6.5, 3.4, 27.3, 1.8, 3.8),
    ("Lahore", 31.5, 74.3, 24.4, 10.4, 6.4),
    ("Lima", -12.0, -77.0, 19.4, 3.6, 2.8),
    ("Lisbon", 38.7, -9.1, 17.5, 6.0, 4.6),
    ("London", 51.5, -0.1, 11.6, 6.8, 3.8),
    ("Los Angeles", 34.1, -118.2, 18.7, 4.6, 5.6),
    ("Luanda", -8.8, 13.2, 25.8, 3.2, 3.0),
    ("Madrid", 40.4, -3.7, 15.0, 10.0, 5.6),
    ("Manila", 14.6, 121.0, 28.4, 1.8, 3.8),
    ("Marrakesh", 31.6, -8.0, 20.5, 8.6, 7.0),
    ("Melbourne", -37.8, 145.0, 15.6, 5.4, 5.0),
    ("Mexico City", 19.4, -99.1, 17.2, 2.8, 6.8),
    ("Miami", 25.8, -80.2, 25.1, 4.4, 4.0),
    ("Milan", 45.5, 9.2, 13.9, 11.0, 4.8),
    ("Minneapolis", 45.0, -93.3, 8.3, 16.6, 5.2),
    ("Montevideo", -34.9, -56.2, 16.9, 6.2, 4.4),
    ("Montreal", 45.5, -73.6, 7.2, 15.6, 4.6),
    ("Moscow", 55.8, 37.6, 6.3, 13.2, 3.8),
    ("Mumbai", 19.1, 72.9, 27.4, 3.0, 4.4),
    ("Munich", 48.1, 11.6, 9.7, 9.8, 5.0),
    ("Muscat", 23.6, 58.4, 28.4, 7.0, 4.0),
    ("Nairobi", -1.3, 36.8, 19.0, 1.8, 5.8),
    ("New York", 40.7, -74.0, 13.2, 12.4, 4.0),
    ("Nuuk", 64.2, -51.7, -0.9, 7.8, 2.6),
    ("Osaka", 34.7, 135.5, 17.1, 11.4, 4.2),
    ("Oslo", 59.9, 10.8, 7.0, 11.0, 4.0),
    ("Ottawa", 45.4, -75.7, 6.6, 15.8, 5.0),
    ("Panama City", 9.0, -79.5, 27.6, 0.8, 4.2),
    ("Paris", 48.9, 2.4, 12.6, 8.2, 4.2),
    ("Perth", -32.0, 115.9, 18.8, 5.8, 5.8),
    ("Phoenix", 33.4, -112.1, 24.0, 11.2, 7.0),
    ("Prague", 50.1, 14.4, 9.4, 9.8, 4.8),
    ("Quito", -0.2, -78.5, 14.2, 0.4, 5.4),
    ("Rabat", 34.0, -6.8, 17.9, 5.2, 5.0),
    ("Reykjavík", 64.1, -21.9, 5.1, 5.8, 2.6),
    ("Riga", 56.9, 24.1, 7.2, 11.2, 3.8),
    ("Rio de Janeiro", -22.9, -43.2, 24.2, 2.8, 3.6),
    ("Riyadh", 24.7, 46.7, 26.9, 11.0, 6.8),
    ("Rome", 41.9, 12.5, 15.9, 8.6, 5.4),
    ("San Francisco", 37.8, -122.4, 14.6, 3.0, 4.0),
    ("Santiago", -33.4, -70.7, 14.9, 6.4, 7.4),
    ("São Paulo", -23.6, -46.6, 20.1, 3.2, 4.6),
    ("Seattle", 47.6, -122.3, 11.7, 7.2, 4.6),
    ("Seoul", 37.6, 127.0, 12.8, 14.2, 4.8),
    ("Shanghai", 31.2, 121.5, 17.3, 11.8, 3.6),
    ("Singapore", 1.4, 103.8, 27.8, 0.8, 3.4),
    ("Sofia", 42.7, 23.3, 10.9, 11.0, 5.4),
    ("Stockholm", 59.3, 18.1, 7.8, 10.2, 3.8),
    ("Sydney", -33.9, 151.2, 18.3, 5.2, 4.0),
    ("Taipei", 25.0, 121.6, 23.4, 6.8, 3.4),
    ("Tashkent", 41.3, 69.2, 14.9, 13.4, 6.4),
    ("Tbilisi", 41.7, 44.8, 13.4, 11.4, 4.8),
    ("Tehran", 35.7, 51.4, 18.2, 13.2, 5.0),
    ("Tel Aviv", 32.1, 34.8, 20.7, 7.0, 3.8),
    ("Tokyo", 35.7, 139.7, 15.8, 10.8, 3.8),
    ("Toronto", 43.7, -79.4, 9.4, 13.4, 4.2),
    ("Tunis", 36.8, 10.2, 19.0, 8.4, 5.0),
    ("Ulaanbaatar", 47.9, 106.9, -0.2, 20.0, 6.0),
    ("Vancouver", 49.3, -123.1, 10.4, 7.2, 3.6),
    ("Vienna", 48.2, 16.4, 11.4, 10.4, 4.6),
    ("Warsaw", 52.2, 21.0, 9.0, 10.8, 4.6),
    ("Wellington", -41.3, 174.8, 13.1, 4.0, 3.2),
    ("Yakutsk", 62.0, 129.7, -7.5, 29.0, 5.0),
    ("Yangon", 16.8, 96.2, 27.4, 2.6, 5.4),
    ("Zürich", 47.4, 8.5, 9.8, 9.4, 4.4),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_more_than_a_hundred_and_no_two_share_a_name() {
        let names: HashSet<&str> = all().map(|city| city.name).collect();
        assert_eq!(names.len(), all().len());
        assert!(names.len() > 100, "{}", names.len());
    }

    #[test]
    fn each_is_on_earth_and_its_climate_is_one_of_earth() {
        for city in all() {
            let City {
                name,
                latitude,
                longitude,
                mean,
                seasonal,
                daily,
            } = city;
            assert!(latitude.abs() <= 90.0 && longitude.abs() <= 180.0, "{name}");
            assert!((-10.0..=30.0).contains(&mean), "{name}: {mean}");
            assert!((0.0..=30.0).contains(&seasonal), "{name}: {seasonal}");
            assert!((1.0..=10.0).contains(&daily), "{name}: {daily}");
        }
    }
}
